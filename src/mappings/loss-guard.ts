import { numberToIpv4 } from "../addresses.ts";
import type { Logger } from "../log.ts";
import { encodeValue } from "./codec.ts";
import { type Conflict, conflictOf, reassert } from "./reassert.ts";
import type { MappingStore } from "./store.ts";

/** What a full load of the store does about entries that it may have lost since the load before. */
export interface LossGuard {
  /** Call for each entry that is listed, before it is applied; `known`: the host that we have for the address. */
  listed(nat4: number, value: string, known: string | undefined): void;
  /**
   * Call after the listing with what we know and it lacks. Resolves to what is to be applied: nothing at all when the
   * store can't have lost anything, for then somebody deleted them. Rejects with EG46_STORE_UNAVAILABLE: list again.
   */
  missing(
    known: readonly (readonly [nat4: number, host6: string])[],
  ): Promise<ReadonlyMap<number, string | undefined>>;
  /** The load is done. */
  settled(): void;
  /** Addresses so far that another host had in the store afterwards. */
  conflicts(): number;
}

/** One for the life of a store: it remembers the lineage (see MappingStore) of the load before. */
export function createLossGuard(store: MappingStore, log: Logger): LossGuard {
  let settled: string | undefined;
  let current: string | undefined;
  let differing: Conflict[] = [];
  let count = 0;

  function report(conflicts: readonly Conflict[]): void {
    for (const conflict of conflicts) {
      count++;
      log.warn(
        { code: "EG46_MAPPING_CONFLICT", ...conflict },
        `after a failover of the store ${conflict.nat4} is another host's: new connections go there`,
      );
    }
  }

  return {
    listed(nat4, value, known) {
      if (known === undefined) return;
      const conflict = conflictOf(numberToIpv4(nat4), encodeValue(known), value);
      if (conflict !== undefined) differing.push(conflict);
    },
    async missing(known) {
      // The listing came from whom the store speaks of now: an interruption would have ended it.
      current = store.lineage?.();
      const changed = settled !== undefined && current !== settled;
      if (changed) report(differing);
      differing = [];
      if (!changed || known.length === 0) return new Map();
      log.warn(
        `the store failed over or was started anew: ${known.length} mappings that it lacks are put back`,
      );
      const entries = known.map(([nat4, host6]) => [numberToIpv4(nat4), encodeValue(host6)] as const);
      const { values, conflicts } = await reassert(store, entries);
      report(conflicts);
      return new Map(known.map(([nat4]) => [nat4, values.get(numberToIpv4(nat4))]));
    },
    settled() {
      settled = current;
    },
    conflicts: () => count,
  };
}
