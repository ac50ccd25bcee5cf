import { decodeValue } from "./codec.ts";
import type { MappingStore } from "./store.ts";

/** An address that we have for one host, and the store now has for another (or for something that is no mapping). */
export interface Conflict {
  readonly nat4: string;
  readonly ours: string;
  readonly theirs: string | undefined;
}

export interface Reasserted {
  /** What the store has now of each entry, as text. */
  readonly values: ReadonlyMap<string, string | undefined>;
  readonly conflicts: readonly Conflict[];
}

const batchSize = 256;

/**
 * Puts back by SETNX what a store has lost that failed over to a copy lacking it, or started anew: an address that was
 * handed out must not be given to another host. Whoever was faster wins: the store decides. Rejects with
 * EG46_STORE_UNAVAILABLE; running it again does no harm.
 */
export async function reassert(
  store: Pick<MappingStore, "claim" | "get">,
  entries: readonly (readonly [nat4: string, value: string])[],
): Promise<Reasserted> {
  const values = new Map<string, string | undefined>();
  const conflicts: Conflict[] = [];
  for (let start = 0; start < entries.length; start += batchSize)
    await Promise.all(
      entries.slice(start, start + batchSize).map(async ([nat4, value]) => {
        const stored = (await store.claim(nat4, value)) ? value : await store.get(nat4);
        values.set(nat4, stored);
        const conflict = conflictOf(nat4, value, stored);
        if (conflict !== undefined) conflicts.push(conflict);
      }),
    );
  return { values, conflicts };
}

/** Undefined: `stored` is of the same host, or gone. */
export function conflictOf(nat4: string, ours: string, stored: string | undefined): Conflict | undefined {
  if (stored === undefined) return undefined;
  const [host, now] = [decodeValue(ours)?.host6, decodeValue(stored)?.host6];
  return host === undefined || host === now ? undefined : { nat4, ours: host, theirs: now };
}

/**
 * The store as a claim may see it: what we have for one host is not free for another, whatever the store says. After a
 * failover it may not have it back yet.
 */
export function sparing(store: MappingStore, known: (nat4: string) => string | undefined): MappingStore {
  return {
    ...store,
    async claim(nat4, ...entry) {
      const host6 = known(nat4);
      const taken = host6 !== undefined && host6 !== decodeValue(entry[0])?.host6;
      return taken ? false : await store.claim(nat4, ...entry);
    },
  };
}
