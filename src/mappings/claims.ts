import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import { Eg46Error, hasCode } from "../errors.ts";
import type { Trace } from "../trace.ts";
import { type Allocation, allocate } from "./allocator.ts";
import { callBudgetMs } from "./deadline.ts";
import type { Journal } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import type { MappingTable } from "./mapping-table.ts";
import { likelyFree, type Pool } from "./pool.ts";
import type { Resting } from "./resting.ts";
import type { Settle } from "./settle.ts";
import { sparing } from "./sparing.ts";
import type { MappingStore } from "./store.ts";
import type { MappingSync } from "./sync.ts";
import { tracedStore } from "./traced-store.ts";
import { createTurns } from "./turns.ts";

/** New mappings: in the store, or in the journal while that is away. */
export interface Claims {
  /** One claim for all who ask for the host (RFC 5952 text) at the same time. Rejects with EG46_STORE_UNAVAILABLE. */
  claim(host6: string, trace?: Trace): Promise<Allocation>;
}

export interface ClaimParts {
  readonly store: MappingStore;
  readonly table: MappingTable;
  readonly keeper: Keeper;
  readonly sync: Pick<MappingSync, "apply" | "current">;
  readonly journal: Journal | undefined;
  readonly resting: Resting;
  readonly settle: Settle;
  readonly reconcile: () => Promise<void>;
  /** The pool that DNS46 has now. */
  readonly pool: () => Pool | undefined;
  /** It has no address for a host. */
  readonly refused: () => void;
}

/** Wide enough that LMDB commits many with one flush, narrow enough that Redis answers each within its budget. */
const maxClaims = 512;
const attempts = 3;

export function createClaims(parts: ClaimParts): Claims {
  const { store, table, keeper, sync, journal, resting, settle, reconcile, pool, refused } = parts;
  // By host. Filled and emptied all the time, so not a Map: see dns/id-table.ts.
  const claims: Record<string, Promise<Allocation>> = Object.create(null);
  const inTurn = createTurns(maxClaims, callBudgetMs, store.name);
  const spared = sparing(store, (nat4) => table.hostOf(ipv4ToNumber(nat4)));

  async function claimInStore(host6: string, trace?: Trace): Promise<Allocation> {
    const from = pool();
    if (from === undefined) return { kind: "exhausted" };
    await reconcile();
    for (let attempt = 0; attempt < attempts; attempt++) {
      const sentMs = performance.now();
      const mapped = await settle(async () => {
        const claimed = await allocate(
          trace ? tracedStore(spared, trace) : spared,
          from,
          host6,
          keeper.terms(),
          sync.current() && store.connected() ? likelyFree(table.used() / from.size) : undefined,
        );
        return claimed.kind === "exhausted" ? undefined : { ...claimed, nat4: ipv4ToNumber(claimed.nat4) };
      });
      if (mapped === undefined) {
        if (from === pool()) refused();
        return { kind: "exhausted" };
      }
      if (mapped.made) keeper.claimed(mapped.nat4, sentMs);
      if (await keeper.answer(mapped.nat4, host6)) return handOut(mapped.nat4, host6, trace);
    }
    throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name}: an entry keeps ending while it is claimed`);
  }

  /** While the store is away, an address out of this gateway's slice. */
  async function claimOrJournal(host6: string, trace?: Trace): Promise<Allocation> {
    const from = pool();
    if (journal === undefined || from === undefined) return claimInStore(host6, trace);
    const fallBack = async (cause?: unknown): Promise<Allocation> => {
      const taken = (nat4: number) =>
        table.hostOf(nat4) !== undefined || table.malformed.has(nat4) || resting.keeps(nat4, host6);
      const made = await journal.allocate(from, host6, taken, keeper.terms()?.leaseS ?? 0);
      if (made === undefined) throw cause ?? new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name} is away`);
      await sync.apply(made.nat4, made.value);
      // Another host has it in the store, which is back.
      if (!(await keeper.answer(made.nat4, host6))) return claimInStore(host6, trace);
      return handOut(made.nat4, host6, trace);
    };
    if (!store.connected()) return fallBack();
    try {
      return await claimInStore(host6, trace);
    } catch (error) {
      if (!hasCode(error, "EG46_STORE_UNAVAILABLE") || store.connected()) throw error;
      return await fallBack(error);
    }
  }

  return {
    claim(host6, trace) {
      const shared = claims[host6];
      if (shared !== undefined) return shared;
      const work = inTurn(() => claimOrJournal(host6, trace)).finally(() => delete claims[host6]);
      claims[host6] = work;
      return work;
    },
  };
}

/** `nat4` is stored for the host, and every engine has it. */
export function handOut(nat4: number, host6: string, trace?: Trace): Allocation {
  trace?.("engine", { nat4: numberToIpv4(nat4), host6 });
  return { kind: "mapped", nat4: numberToIpv4(nat4) };
}
