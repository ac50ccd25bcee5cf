import { inPool, type Pool } from "./pool.ts";

/** A mapping as the engine has it, or will have once `installed` resolves. */
export interface MappingEntry {
  readonly host6: string;
  readonly installed: Promise<void>;
}

/** What this process knows of the store: mappings in both directions, and addresses whose value is no mapping. */
export interface MappingTable {
  readonly entries: ReadonlyMap<number, MappingEntry>;
  readonly malformed: ReadonlySet<number>;
  /** All addresses of a host, the lowest first. */
  addressesOf(host6: string): readonly number[];
  set(nat4: number, entry: MappingEntry): void;
  setMalformed(nat4: number): void;
  drop(nat4: number): void;
  /** Addresses of the pool that are taken. */
  used(pool: Pool): number;
}

export function createMappingTable(): MappingTable {
  const entries = new Map<number, MappingEntry>();
  const malformed = new Set<number>();
  const byHost = new Map<string, Set<number>>();

  function drop(nat4: number): void {
    malformed.delete(nat4);
    const host6 = entries.get(nat4)?.host6;
    if (host6 === undefined) return;
    entries.delete(nat4);
    const addresses = byHost.get(host6);
    addresses?.delete(nat4);
    if (addresses?.size === 0) byHost.delete(host6);
  }

  return {
    entries,
    malformed,
    drop,
    addressesOf: (host6) => [...(byHost.get(host6) ?? [])].sort((a, b) => a - b),
    set(nat4, entry) {
      drop(nat4);
      entries.set(nat4, entry);
      const addresses = byHost.get(entry.host6);
      if (addresses === undefined) byHost.set(entry.host6, new Set([nat4]));
      else addresses.add(nat4);
    },
    setMalformed(nat4) {
      drop(nat4);
      malformed.add(nat4);
    },
    used(pool) {
      let count = 0;
      for (const taken of [entries.keys(), malformed])
        for (const nat4 of taken) if (inPool(pool, nat4)) count++;
      return count;
    },
  };
}
