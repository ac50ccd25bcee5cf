import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import { type Allocation, allocate } from "./allocator.ts";
import { canonicalHost6, encodeValue } from "./codec.ts";
import { callBudgetMs, sleep } from "./deadline.ts";
import { createMappingTable } from "./mapping-table.ts";
import { inSubnet, type Pool, poolOf } from "./pool.ts";
import { createPoolAlarm } from "./pool-alarm.ts";
import { sparing } from "./reassert.ts";
import type { MappingStore } from "./store.ts";
import { createSubnets } from "./subnets.ts";
import { createSync } from "./sync.ts";
import { tracedStore } from "./traced-store.ts";
import { createTurns } from "./turns.ts";

export interface Mappings {
  /** Loads everything into the engine and follows the store; resolves after the first full load, at most 2 s. */
  start(): Promise<void>;
  /** The DNS46 pool, undefined while there is none. Mappings already made stay. Throws TypeError on a bad subnet. */
  setPool(pool: { readonly subnet: string; readonly reserved: number } | undefined): void;
  /**
   * The NAT address of a host, claimed if need be; resolves only after every engine has it. A known mapping costs no
   * round trip and is served also while the store is away; one that DNS46 made in an earlier subnet only when the present
   * one has none to give. Without a pool, an unknown host is 'exhausted'. Rejects with EG46_STORE_UNAVAILABLE, TypeError
   * (not a remote host's IPv6 address: see codec.ts), or the sink's error.
   */
  mapHost(host6: string, trace?: Trace): Promise<Allocation>;
  /**
   * For a packet to an address unknown to the engine: asks the store and installs what it says. Undefined: no mapping,
   * outside the pool's subnet (such entries come by the sync only, or a port scan would flood the store), or too many
   * look-ups at once. Rejects with EG46_STORE_UNAVAILABLE.
   */
  lookup(nat4: string): Promise<string | undefined>;
  /** Everything known, by address; `host6` undefined = the stored value is no mapping. */
  list(): { nat4: string; host6: string | undefined }[];
  status(): MappingStatus;
  /** Stops following. The store stays open: it belongs to whoever opened it. */
  close(): Promise<void>;
}

export interface MappingStatus {
  readonly known: number;
  readonly malformed: number;
  /** Addresses that were another host's after a failover of the store, ever. */
  readonly conflicts: number;
  /** Addresses that DNS46 may hand out, and how many of them are taken. */
  readonly poolSize: number;
  readonly poolUsed: number;
  /** What the operator should know of how full the pool is. */
  readonly poolNote: string | undefined;
  readonly storeConnected: boolean;
  readonly storeProblem: string | undefined;
  readonly store: string;
}

const startPatienceMs = 2000;
const poolLookMs = 2000;
const negativeMs = 400;
const maxNegative = 4096;
const maxLookups = 256;
/** Wide enough that LMDB commits many with one flush, narrow enough that Redis answers each within its budget. */
const maxClaims = 512;
const attempts = 3;

export function createMappings(parts: { store: MappingStore; sink: MappingSink; log: Logger }): Mappings {
  const { store, log } = parts;
  const table = createMappingTable();
  const sync = createSync(store, parts.sink, table, log);
  const spared = sparing(store, (nat4) => table.entries.get(ipv4ToNumber(nat4))?.host6);
  const stop = new AbortController();
  const claims = new Map<string, Promise<Allocation>>();
  const lookups = new Map<number, Promise<string | undefined>>();
  const inTurn = createTurns(maxClaims, callBudgetMs, store.name);
  const absentUntilMs = new Map<number, number>();
  const subnets = createSubnets();
  const alarm = createPoolAlarm(log);
  let pool: Pool | undefined;
  let subnet = "";
  let poolLook: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  /** `read` says what the store holds at an address; when somebody changed that meanwhile, it is asked again. */
  async function settle<T extends { nat4: number; value: string | undefined } | undefined>(
    read: () => Promise<T>,
  ): Promise<T> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await sync.reading(async (changed) => {
        const result = await read();
        if (result === undefined) return { result };
        const { nat4, value } = result;
        const overtaken = changed(nat4);
        const installed = overtaken ? undefined : sync.apply(nat4, value);
        await installed;
        return overtaken ? undefined : { result };
      });
      if (found !== undefined) return found.result;
    }
    throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name}: an entry keeps changing while it is read`);
  }

  async function claim(host6: string, trace?: Trace): Promise<Allocation> {
    if (pool === undefined) return { kind: "exhausted" };
    const from = pool;
    const mapped = await settle(async () => {
      const allocation = await allocate(trace ? tracedStore(spared, trace) : spared, from, host6);
      if (allocation.kind === "exhausted") return undefined;
      return { nat4: ipv4ToNumber(allocation.nat4), value: encodeValue(host6) };
    });
    if (mapped !== undefined) return answerWith(mapped.nat4, host6, trace);
    if (from === pool) lookAtPool(true);
    return { kind: "exhausted" };
  }

  /** One claim for all who ask for the host at the same time. */
  function claimOnce(host6: string, trace?: Trace): Promise<Allocation> {
    const shared = claims.get(host6);
    if (shared !== undefined) return shared;
    const work = inTurn(() => claim(host6, trace)).finally(() => claims.delete(host6));
    claims.set(host6, work);
    return work;
  }

  async function answerWith(nat4: number, host6: string, trace?: Trace): Promise<Allocation> {
    await table.entries.get(nat4)?.installed;
    trace?.("engine", { nat4: numberToIpv4(nat4), host6 });
    return { kind: "mapped", nat4: numberToIpv4(nat4) };
  }

  function lookAtPool(refused: boolean): void {
    alarm.look(pool && { subnet, size: pool.size, used: table.used(pool), refused });
  }

  async function ask(nat4: number): Promise<string | undefined> {
    await settle(async () => ({ nat4, value: await store.get(numberToIpv4(nat4)) }));
    const host6 = table.entries.get(nat4)?.host6;
    if (host6 === undefined) rememberAbsent(nat4);
    return host6;
  }

  function rememberAbsent(nat4: number): void {
    absentUntilMs.delete(nat4);
    absentUntilMs.set(nat4, performance.now() + negativeMs);
    for (const oldest of absentUntilMs.keys()) {
      if (absentUntilMs.size <= maxNegative) break;
      absentUntilMs.delete(oldest);
    }
  }

  return {
    async start() {
      running ??= sync.run(stop.signal);
      poolLook ??= setInterval(() => lookAtPool(false), poolLookMs).unref();
      await Promise.race([sync.loaded, sleep(startPatienceMs, stop.signal)]);
    },
    setPool(next) {
      pool = next === undefined ? undefined : poolOf(next);
      subnet = next?.subnet ?? "";
      subnets.serve(pool);
    },
    async mapHost(text, trace) {
      const host6 = canonicalHost6(text);
      if (host6 === undefined) throw new TypeError(`'${text}' is not the IPv6 address of a remote host`);
      const known = subnets.best(host6, table.addressesOf(host6));
      if (known === undefined) return claimOnce(host6, trace);
      trace?.("known", { nat4: numberToIpv4(known.nat4), host6, drains: known.drains });
      if (!known.drains || !store.connected()) return answerWith(known.nat4, host6, trace);
      // The old address works as well as ever: nobody is refused for the sake of the new one.
      const fresh = await claimOnce(host6, trace).catch(() => undefined);
      return fresh?.kind === "mapped" ? fresh : answerWith(known.nat4, host6, trace);
    },
    async lookup(text) {
      const nat4 = ipv4ToNumber(text);
      const known = table.entries.get(nat4);
      if (known !== undefined) {
        await known.installed;
        return known.host6;
      }
      if (pool === undefined || !inSubnet(pool, nat4)) return undefined;
      if (performance.now() < (absentUntilMs.get(nat4) ?? 0)) return undefined;
      const shared = lookups.get(nat4);
      if (shared !== undefined) return shared;
      if (lookups.size >= maxLookups) return undefined;
      const work = ask(nat4).finally(() => lookups.delete(nat4));
      lookups.set(nat4, work);
      return work;
    },
    list: () =>
      [...table.entries.keys(), ...table.malformed]
        .sort((a, b) => a - b)
        .map((nat4) => ({ nat4: numberToIpv4(nat4), host6: table.entries.get(nat4)?.host6 })),
    status: () => ({
      known: table.entries.size,
      malformed: table.malformed.size,
      conflicts: sync.conflicts(),
      poolSize: pool?.size ?? 0,
      poolUsed: pool === undefined ? 0 : table.used(pool),
      poolNote: alarm.note(),
      storeConnected: store.connected(),
      storeProblem: store.problem(),
      store: store.name,
    }),
    async close() {
      stop.abort();
      clearInterval(poolLook);
      await running;
    },
  };
}
