import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error, hasCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import { type Allocation, allocate } from "./allocator.ts";
import { canonicalHost6, decodeValue } from "./codec.ts";
import { createConflicts } from "./conflicts.ts";
import { callBudgetMs, sleep } from "./deadline.ts";
import { createForecast } from "./forecast.ts";
import { createHeaders } from "./headers.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import { createKeeper, defaultLife, type MappingLife } from "./keeper.ts";
import { createMappingTable } from "./mapping-table.ts";
import { createNames } from "./names.ts";
import { inSubnet, likelyFree, type Pool, poolOf } from "./pool.ts";
import { createPoolAlarm } from "./pool-alarm.ts";
import { assertMapping, type Conflict, rescueMappings } from "./rescue.ts";
import { createResting } from "./resting.ts";
import { sparing } from "./sparing.ts";
import type { MappingStore } from "./store.ts";
import { createSubnets } from "./subnets.ts";
import { createSync } from "./sync.ts";
import { tracedStore } from "./traced-store.ts";
import { createTurns } from "./turns.ts";

export interface Mappings {
  /** Loads everything into the engine and follows the store; resolves after the first full load, at most 2 s. */
  start(): Promise<void>;
  /** The DNS46 pool, undefined while there is none. Mappings already made stay. Throws TypeError on a bad subnet. */
  setPool(pool: PoolSettings | undefined): void;
  /**
   * The NAT address of a host, claimed if need be; resolves only after every engine has it. A known mapping costs no
   * round trip and is served also while the store is away; one that DNS46 made in an earlier subnet only when the present
   * one has none to give. Without a pool, an unknown host is 'exhausted'. Rejects with EG46_STORE_UNAVAILABLE, TypeError
   * (not a remote host's IPv6 address: see codec.ts), or the sink's error.
   */
  mapHost(host6: string, trace?: Trace): Promise<Allocation>;
  /**
   * For a packet to an address unknown to the engine: asks the store and installs what it says. Undefined: no mapping,
   * or outside the pool's subnet (such entries come by the sync only, or a port scan would flood the store). Rejects with
   * EG46_STORE_UNAVAILABLE, also when `most` look-ups are under way.
   */
  lookup(nat4: string, most?: number): Promise<string | undefined>;
  /**
   * Notes which hosts (RFC 5952 texts) a name led to, after the answer left; never waits. Names are text, in any case.
   */
  noteName(name: string, hosts: readonly string[]): void;
  /**
   * The hosts that a name led to within the last day, at whichever gateway of this store; each goes through
   * {@link mapHost} then. Empty: unknown. Rejects with EG46_STORE_UNAVAILABLE.
   */
  hostsOfName(name: string): Promise<string[]>;
  /** Everything known, by address; `host6` undefined = the stored value is no mapping. */
  list(): { nat4: string; host6: string | undefined }[];
  status(): MappingStatus;
  /** Stops following. The store stays open: it belongs to whoever opened it. */
  close(): Promise<void>;
}

export interface PoolSettings {
  /** dnsNat46Ipv4Subnet. */
  readonly subnet: string;
  /** maxReservedStaticIps. */
  readonly reserved: number;
  /** maxDNS46TTL: the longest that an answer may live, seconds. Its default if left out. */
  readonly maxTtl?: number;
}

export interface MappingParts {
  readonly store: MappingStore;
  readonly sink: MappingSink;
  readonly log: Logger;
  readonly life?: MappingLife;
  /** The addresses that sessions go to; without it, nobody has any. */
  readonly sessions?: () => Promise<ReadonlySet<number>>;
  /** Where new mappings go while the store is away; without it there are none meanwhile. */
  readonly journal?: Journal | undefined;
}

export interface MappingStatus {
  readonly known: number;
  readonly malformed: number;
  /** Addresses in use that became another host's, ever. */
  readonly conflicts: number;
  /** Addresses that DNS46 may hand out, and how many of them are taken. */
  readonly poolSize: number;
  readonly poolUsed: number;
  /** Addresses an hour by the last hour; and when the pool will be exhausted at that rate, seconds from now. */
  readonly poolGrowth: number | undefined;
  readonly poolExhaustedInS: number | undefined;
  /** What the operator should know of how full the pool is. */
  readonly poolNote: string | undefined;
  readonly storeConnected: boolean;
  readonly storeProblem: string | undefined;
  readonly store: string;
}

/** Of maxDNS46TTL, seconds. */
export const defaultMaxTtl = 120;
const startPatienceMs = 2000;
const lookMs = 2000;
const negativeMs = 400;
const maxNegative = 4096;
const maxLookups = 256;
/** Wide enough that LMDB commits many with one flush, narrow enough that Redis answers each within its budget. */
const maxClaims = 512;
const attempts = 3;
const reconcileBatch = 200;

export function createMappings(parts: MappingParts): Mappings {
  const { store, log, life = defaultLife, journal, sessions = async () => new Set<number>() } = parts;
  const table = createMappingTable();
  const headers = createHeaders();
  const conflicts = createConflicts(log, store.name);
  const keeper = createKeeper({ store, table, life, sessions, log, gone: (nat4) => void gone(nat4) });
  const sync = createSync(store, parts.sink, table, log, {
    seen(nat4, value) {
      const [host6, terms] = [table.hostOf(nat4), keeper.termsOf(keeper.leaseS(nat4))];
      if (journal && value === undefined && host6 && terms) resting.ended(nat4, host6, terms.heldMs);
      keeper.seen(nat4, value);
      headers.seen(nat4, value);
    },
    lapsed: keeper.lapsed,
    doubt: keeper.doubt,
    async beforeLoad() {
      await reconcile();
      if (journal) await resting.load(store.records, keeper.holdMs());
    },
    conflict: conflicts.report,
    replaced: (found) => void replaced(found),
    rescue: (nat4s) => rescueMappings(store, nat4s, { table, keeper, headers, conflict: lost, log }),
  });
  const spared = sparing(store, (nat4) => table.hostOf(ipv4ToNumber(nat4)));
  const resting = createResting();
  const names = createNames(store.records, log);
  const forecast = createForecast();
  const stop = new AbortController();
  // By host. Filled and emptied all the time, so not a Map: see dns/id-table.ts.
  const claims: Record<string, Promise<Allocation>> = Object.create(null);
  const lookups = new Map<number, Promise<string | undefined>>();
  const inTurn = createTurns(maxClaims, callBudgetMs, store.name);
  const absentUntilMs = new Map<number, number>();
  const subnets = createSubnets();
  const alarm = createPoolAlarm(log);
  let pool: Pool | undefined;
  let subnet = "";
  let poolLook: NodeJS.Timeout | undefined;
  let running: Promise<unknown> | undefined;
  let reconciling: Promise<void> | undefined;

  /** `read` says what the store holds at an address; when somebody changed that meanwhile, it is asked again. */
  async function settle<T extends { nat4: number; value: string | undefined } | undefined>(
    read: () => Promise<T>,
  ): Promise<T> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = await sync.reading(async (changed) => {
        const result = await read();
        if (result === undefined) return { result };
        const { nat4, value } = result;
        const host6 = value === undefined ? undefined : decodeValue(value)?.host6;
        // A change to what was read (a renewed lease) says nothing against it.
        const overtaken = changed(nat4) && (host6 === undefined || host6 !== table.hostOf(nat4));
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
        if (from === pool) lookAtPool(true);
        return { kind: "exhausted" };
      }
      if (mapped.made) keeper.claimed(mapped.nat4, sentMs);
      if (await keeper.answer(mapped.nat4, host6)) return handOut(mapped.nat4, host6, trace);
    }
    throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name}: an entry keeps ending while it is claimed`);
  }

  /** While the store is away, an address out of this gateway's slice. */
  async function claimOrJournal(host6: string, trace?: Trace): Promise<Allocation> {
    if (journal === undefined || pool === undefined) return claim(host6, trace);
    const from = pool;
    const fallBack = async (cause?: unknown): Promise<Allocation> => {
      const taken = (nat4: number) =>
        table.hostOf(nat4) !== undefined || table.malformed.has(nat4) || resting.keeps(nat4, host6);
      const made = await journal.allocate(from, host6, taken, keeper.terms()?.leaseS ?? 0);
      if (made === undefined) throw cause ?? new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name} is away`);
      await sync.apply(made.nat4, made.value);
      // Another host has it in the store, which is back.
      if (!(await keeper.answer(made.nat4, host6))) return claim(host6, trace);
      return handOut(made.nat4, host6, trace);
    };
    if (!store.connected()) return fallBack();
    try {
      return await claim(host6, trace);
    } catch (error) {
      if (!hasCode(error, "EG46_STORE_UNAVAILABLE") || store.connected()) throw error;
      return await fallBack(error);
    }
  }

  /** What was given out while the store was away goes into it before anything else is believed. */
  async function reconcile(): Promise<void> {
    if (reconciling === undefined && !hasJournalled()) return;
    reconciling ??= storeJournalled().finally(() => {
      reconciling = undefined;
    });
    await reconciling;
  }

  const hasJournalled = () => (journal?.entries().length ?? 0) > 0;

  async function storeJournalled(): Promise<void> {
    const entries = [...(journal?.entries() ?? [])];
    while (entries.length > 0) await Promise.all(entries.splice(0, reconcileBatch).map(storeOne));
  }

  async function storeOne(entry: JournalEntry): Promise<void> {
    const { nat4, host6 } = entry;
    const stored = await assertMapping(store, entry, keeper, lost);
    await journal?.settled(nat4);
    if (stored)
      log.info(`${numberToIpv4(nat4)} for ${host6}, given out while it was away, is in ${store.name} now`);
  }

  /** Whom nobody uses through us, nobody misses. */
  async function replaced(found: Conflict): Promise<void> {
    const used = await keeper.inUse([found.nat4]).catch(() => []);
    if (used.length > 0) conflicts.report(found);
  }

  /** Its address is another's in the store, which must show here as well. */
  function lost(found: Conflict): void {
    conflicts.report(found);
    void reread(found.nat4);
  }

  /** A lease may have ended while this process stood still, with sessions on it. */
  async function gone(nat4: number): Promise<void> {
    await (keeper.lapsed(nat4) ? sync.removed(nat4) : reread(nat4));
  }

  async function reread(nat4: number): Promise<void> {
    try {
      await reconcile();
      await settle(async () => ({ nat4, value: await store.get(numberToIpv4(nat4)) }));
    } catch (error) {
      log.debug({ err: error, nat4: numberToIpv4(nat4) }, "a mapping could not be read");
    }
  }

  /** One claim for all who ask for the host at the same time. */
  function claimOnce(host6: string, trace?: Trace): Promise<Allocation> {
    const shared = claims[host6];
    if (shared !== undefined) return shared;
    const work = inTurn(() => claimOrJournal(host6, trace)).finally(() => delete claims[host6]);
    claims[host6] = work;
    return work;
  }

  async function answerWith(nat4: number, host6: string, trace?: Trace): Promise<Allocation> {
    await table.pending(nat4);
    if (await keeper.answer(nat4, host6)) return handOut(nat4, host6, trace);
    await reread(nat4);
    return claimOnce(host6, trace);
  }

  function handOut(nat4: number, host6: string, trace?: Trace): Allocation {
    trace?.("engine", { nat4: numberToIpv4(nat4), host6 });
    return { kind: "mapped", nat4: numberToIpv4(nat4) };
  }

  function lookAtPool(refused: boolean): void {
    alarm.look(pool && { subnet, size: pool.size, used: table.used(), refused });
    if (pool !== undefined) forecast.look(subnet, pool.size, table.used());
  }

  function look(): void {
    lookAtPool(false);
    // The watch may not have noticed that the store was away.
    if (store.connected()) reconcile().catch((error) => log.debug({ err: error }, "the journal has to wait"));
  }

  async function ask(nat4: number): Promise<string | undefined> {
    await settle(async () => ({ nat4, value: await store.get(numberToIpv4(nat4)) }));
    const host6 = table.hostOf(nat4);
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
      for (const { nat4, value } of journal?.entries() ?? []) await sync.apply(nat4, value);
      running ??= Promise.all([sync, keeper, names].map((part) => part.run(stop.signal)));
      poolLook ??= setInterval(look, lookMs).unref();
      await Promise.race([sync.loaded, sleep(startPatienceMs, stop.signal)]);
    },
    setPool(next) {
      pool = next === undefined ? undefined : poolOf(next);
      subnet = next?.subnet ?? "";
      subnets.serve(pool);
      table.count(pool);
      keeper.setTtl(next?.maxTtl ?? defaultMaxTtl);
    },
    async mapHost(text, trace) {
      const host6 = canonicalHost6(text);
      if (host6 === undefined) throw new TypeError(`'${text}' is not the IPv6 address of a remote host`);
      const known = subnets.best(host6, table.addressesOf(host6), keeper.isLeased);
      if (known === undefined) return claimOnce(host6, trace);
      trace?.("known", { nat4: numberToIpv4(known.nat4), host6, drains: known.drains });
      if (!known.drains || !store.connected()) return answerWith(known.nat4, host6, trace);
      // The old address works as well as ever: nobody is refused for the sake of the new one.
      const fresh = await claimOnce(host6, trace).catch(() => undefined);
      return fresh?.kind === "mapped" ? fresh : answerWith(known.nat4, host6, trace);
    },
    async lookup(text, most = maxLookups) {
      const nat4 = ipv4ToNumber(text);
      const known = table.hostOf(nat4);
      if (known !== undefined) {
        await table.pending(nat4);
        return known;
      }
      if (pool === undefined || !inSubnet(pool, nat4)) return undefined;
      if (performance.now() < (absentUntilMs.get(nat4) ?? 0)) return undefined;
      const shared = lookups.get(nat4);
      if (shared !== undefined) return shared;
      if (lookups.size >= most)
        throw new Eg46Error("EG46_STORE_UNAVAILABLE", `${store.name}: too many look-ups at once`);
      const work = ask(nat4).finally(() => lookups.delete(nat4));
      lookups.set(nat4, work);
      return work;
    },
    noteName: names.note,
    hostsOfName: names.hostsOf,
    list: () =>
      [...table.addresses(), ...table.malformed]
        .sort((a, b) => a - b)
        .map((nat4) => ({ nat4: numberToIpv4(nat4), host6: table.hostOf(nat4) })),
    status: () => ({
      known: table.size,
      malformed: table.malformed.size,
      conflicts: conflicts.count(),
      poolSize: pool?.size ?? 0,
      poolUsed: table.used(),
      poolGrowth: forecast.growth(),
      poolExhaustedInS: forecast.exhaustedInS(),
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
