import { inPool, type Pool } from "./pool.ts";

/**
 * What this process knows of the store: mappings in both directions, and addresses whose value is no mapping. Tens of
 * thousands of them are usual, so an entry is two places of maps and one string.
 */
export interface MappingTable {
  readonly size: number;
  hostOf(nat4: number): string | undefined;
  /** While the engine doesn't have the mapping yet; rejects when it won't. */
  pending(nat4: number): Promise<void> | undefined;
  /** All addresses of a host, the lowest first. */
  addressesOf(host6: string): readonly number[];
  addresses(): Iterable<number>;
  readonly malformed: ReadonlySet<number>;
  /** Forgets it again if `installed` rejects, so that the next who asks tries anew. */
  set(nat4: number, host6: string, installed: Promise<void>): void;
  setMalformed(nat4: number): void;
  drop(nat4: number): void;
  /** Of this pool {@link used} counts the addresses that are taken. */
  count(pool: Pool | undefined): void;
  used(): number;
}

export function createMappingTable(): MappingTable {
  // Signed numbers stay in 32 bits, where an address of the upper half would be an object of its own.
  const hosts = new Map<number, string>();
  const byHost = new Map<string, number | number[]>();
  // Filled and emptied all the time, so not a Map: see dns/id-table.ts.
  const installing: Record<number, Promise<void>> = {};
  const malformed = new Set<number>();
  let pool: Pool | undefined;
  let used = 0;

  function counted(nat4: number): number {
    return pool !== undefined && inPool(pool, nat4) ? 1 : 0;
  }

  function drop(nat4: number): void {
    if (malformed.delete(nat4)) used -= counted(nat4);
    const host6 = hosts.get(nat4 | 0);
    if (host6 === undefined) return;
    used -= counted(nat4);
    hosts.delete(nat4 | 0);
    delete installing[nat4];
    const all = byHost.get(host6);
    const rest = typeof all === "number" ? [] : (all ?? []).filter((other) => other !== (nat4 | 0));
    if (rest.length === 0) byHost.delete(host6);
    else byHost.set(host6, rest.length === 1 ? rest[0]! : rest);
  }

  return {
    get size() {
      return hosts.size;
    },
    malformed,
    drop,
    hostOf: (nat4) => hosts.get(nat4 | 0),
    pending: (nat4) => installing[nat4],
    addresses: () => Array.from(hosts.keys(), (nat4) => nat4 >>> 0),
    addressesOf(host6) {
      const all = byHost.get(host6);
      if (all === undefined) return [];
      return typeof all === "number" ? [all >>> 0] : all.map((nat4) => nat4 >>> 0).sort((a, b) => a - b);
    },
    set(nat4, host6, installed) {
      drop(nat4);
      const text = flat(host6);
      hosts.set(nat4 | 0, text);
      used += counted(nat4);
      const others = byHost.get(text);
      if (others === undefined) byHost.set(text, nat4 | 0);
      else byHost.set(text, typeof others === "number" ? [others, nat4 | 0] : [...others, nat4 | 0]);
      installing[nat4] = installed;
      const settled = (fails: boolean) => {
        if (installing[nat4] !== installed) return;
        delete installing[nat4];
        if (fails) drop(nat4);
      };
      installed.then(
        () => settled(false),
        () => settled(true),
      );
    },
    setMalformed(nat4) {
      drop(nat4);
      malformed.add(nat4);
      used += counted(nat4);
    },
    count(next) {
      pool = next;
      used = 0;
      for (const nat4 of hosts.keys()) used += counted(nat4 >>> 0);
      for (const nat4 of malformed) used += counted(nat4);
    },
    used: () => used,
  };
}

/** Text cut out of, or put together from, others keeps those alive; this one stands alone. ASCII only. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
