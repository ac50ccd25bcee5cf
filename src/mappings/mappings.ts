import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import type { Allocation } from "./allocator.ts";
import { createClaims, handOut } from "./claims.ts";
import { canonicalHost6 } from "./codec.ts";
import { createConflicts } from "./conflicts.ts";
import { sleep } from "./deadline.ts";
import { createForecast } from "./forecast.ts";
import { createHeaders } from "./headers.ts";
import type { Journal } from "./journal.ts";
import { createKeeper, defaultLife, type MappingLife } from "./keeper.ts";
import { createLookups } from "./lookups.ts";
import { createMappingTable } from "./mapping-table.ts";
import { createNames } from "./names.ts";
import { inSubnet, type Pool, poolOf } from "./pool.ts";
import { createPoolAlarm } from "./pool-alarm.ts";
import { createReconcile } from "./reconcile.ts";
import { type Conflict, rescueMappings } from "./rescue.ts";
import { createResting } from "./resting.ts";
import { createSettle } from "./settle.ts";
import type { MappingStore } from "./store.ts";
import { createSubnets } from "./subnets.ts";
import { createSync } from "./sync.ts";

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
  const resting = createResting();
  const names = createNames(store.records, log);
  const forecast = createForecast();
  const stop = new AbortController();
  const settle = createSettle(store.name, table, sync);
  const reconcile = createReconcile({ journal, store, keeper, lost, log });
  const lookups = createLookups(store.name, async (nat4) => {
    await read(nat4);
    return table.hostOf(nat4);
  });
  const { claim } = createClaims({
    store,
    table,
    keeper,
    sync,
    journal,
    resting,
    settle,
    reconcile,
    pool: () => pool,
    refused: () => lookAtPool(true),
  });
  const subnets = createSubnets();
  const alarm = createPoolAlarm(log);
  let pool: Pool | undefined;
  let subnet = "";
  let poolLook: NodeJS.Timeout | undefined;
  let running: Promise<unknown> | undefined;

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

  async function read(nat4: number): Promise<void> {
    await settle(async () => ({ nat4, value: await store.get(numberToIpv4(nat4)) }));
  }

  async function reread(nat4: number): Promise<void> {
    try {
      await reconcile();
      await read(nat4);
    } catch (error) {
      log.debug({ err: error, nat4: numberToIpv4(nat4) }, "a mapping could not be read");
    }
  }

  async function answerWith(nat4: number, host6: string, trace?: Trace): Promise<Allocation> {
    await table.pending(nat4);
    if (await keeper.answer(nat4, host6)) return handOut(nat4, host6, trace);
    await reread(nat4);
    return claim(host6, trace);
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
      if (known === undefined) return claim(host6, trace);
      trace?.("known", { nat4: numberToIpv4(known.nat4), host6, drains: known.drains });
      if (!known.drains || !store.connected()) return answerWith(known.nat4, host6, trace);
      // The old address works as well as ever: nobody is refused for the sake of the new one.
      const fresh = await claim(host6, trace).catch(() => undefined);
      return fresh?.kind === "mapped" ? fresh : answerWith(known.nat4, host6, trace);
    },
    async lookup(text, most) {
      const nat4 = ipv4ToNumber(text);
      const known = table.hostOf(nat4);
      if (known !== undefined) {
        await table.pending(nat4);
        return known;
      }
      if (pool === undefined || !inSubnet(pool, nat4)) return undefined;
      return lookups.ask(nat4, most);
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
