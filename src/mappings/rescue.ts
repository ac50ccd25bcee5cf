import { numberToIpv4 } from "../addresses.ts";
import type { Logger } from "../log.ts";
import { decodeValue } from "./codec.ts";
import type { Headers } from "./headers.ts";
import type { JournalEntry } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import type { MappingTable } from "./mapping-table.ts";
import type { MappingStore } from "./store.ts";

const batchSize = 200;

/**
 * Stores a mapping that we have given out, where the store doesn't have it (any more). True: it has it now. Another
 * host at the address wins, since it may be in use elsewhere: that is reported as EG46_MAPPING_CONFLICT.
 */
export async function assertMapping(
  store: MappingStore,
  mapping: JournalEntry,
  keeper: Keeper,
  conflict: (found: Conflict) => void,
): Promise<boolean> {
  const { nat4, host6, leaseS, value: wanted } = mapping;
  const text = numberToIpv4(nat4);
  const [place] = await store.window([text]);
  const terms = keeper.termsOf(leaseS);
  const sentMs = performance.now();
  const free = place?.value === undefined && (place?.heldFor ?? host6) === host6;
  if (free && (await store.claim(text, wanted, terms && { host6, ...terms }))) {
    keeper.claimed(nat4, sentMs);
    return true;
  }
  const value = await store.get(text);
  const holder = value === undefined ? place?.heldFor : decodeValue(value)?.host6;
  if (holder === host6) return true;
  conflict({ nat4, host6, holder });
  return false;
}

/** An address that we gave out for `host6`, and the store has for `holder`. */
export interface Conflict {
  readonly nat4: number;
  readonly host6: string;
  readonly holder: string | undefined;
}

export function reportConflict(
  log: Logger,
  store: string,
  { nat4, host6, holder = "no mapping" }: Conflict,
): void {
  const text = numberToIpv4(nat4);
  log.error(
    { code: "EG46_MAPPING_CONFLICT", nat4: text, host6, holder },
    `mapping conflict: ${text} was given out for ${host6}, and ${store} has ${holder} there now`,
  );
}

/** Those of the known mappings that never end, or that somebody still uses, stored anew; resolves to them. */
export async function rescueMappings(
  store: MappingStore,
  nat4s: readonly number[],
  parts: {
    readonly table: MappingTable;
    readonly keeper: Keeper;
    readonly headers: Headers;
    readonly conflict: (found: Conflict) => void;
    readonly log: Logger;
  },
): Promise<ReadonlySet<number>> {
  const { table, keeper, headers, conflict, log } = parts;
  const kept = new Set<number>();
  const known = nat4s.filter((nat4) => table.hostOf(nat4) !== undefined);
  const endless = known.filter((nat4) => keeper.leaseS(nat4) === 0);
  const leased = known.filter((nat4) => keeper.leaseS(nat4) > 0);
  const used = [...endless, ...(leased.length > 0 ? await keeper.inUse(leased) : [])];
  for (let start = 0; start < used.length; start += batchSize)
    await Promise.all(
      used.slice(start, start + batchSize).map(async (nat4) => {
        const host6 = table.hostOf(nat4);
        if (host6 === undefined) return;
        const leaseS = keeper.leaseS(nat4);
        const value = headers.valueOf(nat4, host6, leaseS);
        if (await assertMapping(store, { nat4, host6, leaseS, value }, keeper, conflict)) kept.add(nat4);
      }),
    );
  if (kept.size > 0) log.warn(`${kept.size} mappings were missing in ${store.name}: stored again`);
  return kept;
}
