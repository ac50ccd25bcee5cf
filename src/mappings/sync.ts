import { ipv4ToNumber, ipv6ToBytes, numberToIpv4 } from "../addresses.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { decodeValue, type MappingValue } from "./codec.ts";
import { sleep } from "./deadline.ts";
import type { MappingTable } from "./mapping-table.ts";
import type { Conflict } from "./rescue.ts";
import type { MappingStore } from "./store.ts";

/** Whether an address changed since a read of the store began: what the read says of it may be out of date. */
export type ChangedSince = (nat4: number) => boolean;

export interface MappingSync {
  /** Brings table and engine in line with a stored value (undefined = no entry); resolves when the engine has it. */
  apply(nat4: number, value: string | undefined): Promise<void>;
  /** The store has no entry there any more: it gets a lapsed one that is in use again, any other goes. */
  removed(nat4: number): Promise<void>;
  /** Runs a read of the store, telling it what changed since it began. */
  reading<T>(read: (changed: ChangedSince) => Promise<T>): Promise<T>;
  /** Loads and follows the store until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What is not in the table is not in the store either, but for what others did a moment ago. */
  current(): boolean;
  /** Resolves after the first full load. */
  readonly loaded: Promise<void>;
}

/** What others make of what the sync comes upon. */
export interface SyncHooks {
  /** A value is about to be in force; undefined: no mapping is there. */
  seen(nat4: number, value: MappingValue | undefined): void;
  /** Runs before each full load; if it rejects, the load is tried again later. */
  beforeLoad(): Promise<void>;
  /** Whether an entry that ended may have done so by itself, and not by anybody's will. */
  lapsed(nat4: number): boolean;
  /** The store may have lost what it acknowledged, also of what it has now. */
  doubt(): void;
  /** After a failover the store has another host at an address. */
  conflict(found: Conflict): void;
  /** Another host is about to take the place of one that we know. */
  replaced(found: Conflict): void;
  /** Stores known mappings anew, which the store lacks and somebody may still use; resolves to those that stay. */
  rescue(nat4s: readonly number[]): Promise<ReadonlySet<number>>;
}

const retryMs = 250;
/** Installs under way at once during a full load: the workers' queues stay short. */
const batchSize = 1000;

export function createSync(
  store: MappingStore,
  sink: MappingSink,
  table: MappingTable,
  log: Logger,
  hooks: SyncHooks,
): MappingSync {
  // Changes are numbered as long as a read is under way: `lastChange` has the latest of each address.
  let lastChange = new Map<number, number>();
  let changes = 0;
  let reads = 0;
  let firstLoadDone = () => {};
  const loaded = new Promise<void>((resolve) => {
    firstLoadDone = resolve;
  });

  function apply(nat4: number, value: string | undefined): Promise<void> {
    if (reads > 0) lastChange.set(nat4, ++changes);
    const mapping = value === undefined ? undefined : decodeValue(value);
    const old = table.hostOf(nat4);
    if (mapping !== undefined && old !== undefined && mapping.host6 !== old)
      hooks.replaced({ nat4, host6: old, holder: mapping.host6 });
    if (mapping?.host6 !== old) hooks.seen(nat4, undefined);
    hooks.seen(nat4, mapping);
    if (mapping !== undefined) {
      const { host6 } = mapping;
      if (host6 === old) return table.pending(nat4) ?? Promise.resolve();
      const installed = sink.install(nat4, ipv6ToBytes(host6));
      table.set(nat4, host6, installed);
      return installed;
    }
    if (value === undefined) table.drop(nat4);
    else if (!table.malformed.has(nat4)) {
      log.warn(
        { code: "EG46_STORE_VALUE", nat4: numberToIpv4(nat4), value: value.slice(0, 80) },
        "the store holds a value that is not a mapping",
      );
      table.setMalformed(nat4);
    }
    return old === undefined ? Promise.resolve() : sink.remove(nat4);
  }

  async function reading<T>(read: (changed: ChangedSince) => Promise<T>): Promise<T> {
    const before = changes;
    reads++;
    try {
      return await read((nat4) => (lastChange.get(nat4) ?? 0) > before);
    } finally {
      reads--;
      // Not cleared: see dns/id-table.ts.
      if (reads === 0 && lastChange.size > 0) lastChange = new Map();
    }
  }

  function applyLater(nat4: number, value: string | undefined): Promise<void> {
    return apply(nat4, value).catch((error) => {
      log.error({ err: error, nat4: numberToIpv4(nat4) }, "the engine did not take a mapping");
    });
  }

  /** A deletion: nobody's will, perhaps, where a lease ran out while the store was away. */
  function removed(nat4: number): Promise<void> {
    if (!hooks.lapsed(nat4)) return applyLater(nat4, undefined);
    return reading(async (changed) => {
      const rescued = await hooks.rescue([nat4]).catch(() => undefined);
      if (!rescued?.has(nat4) && !changed(nat4)) await applyLater(nat4, undefined);
    });
  }
  /** The store's (see MappingStore) at the latest full load. */
  let lineage: string | undefined;
  /** A full load is due: before the first one, and after an interruption. */
  let wanted = true;
  let reloading = false;

  const load = () =>
    reading(async (changed) => {
      await hooks.beforeLoad();
      const listed = new Set<number>();
      const differing: Conflict[] = [];
      const batch: Promise<void>[] = [];
      for await (const [text, value] of store.list()) {
        const nat4 = ipv4ToNumber(text);
        listed.add(nat4);
        const host6 = table.hostOf(nat4);
        const holder = host6 === undefined ? undefined : decodeValue(value)?.host6;
        if (host6 !== undefined && holder !== host6) differing.push({ nat4, host6, holder });
        if (!changed(nat4)) batch.push(applyLater(nat4, value));
        if (batch.length >= batchSize) await Promise.all(batch.splice(0));
      }
      // The listing came from whom the store speaks of now: an interruption would have ended it.
      const current = store.lineage?.();
      const lost = lineage !== undefined && current !== lineage;
      if (lost) for (const found of differing) hooks.conflict(found);
      const missing = [...table.addresses(), ...table.malformed].filter(
        (nat4) => !listed.has(nat4) && !changed(nat4),
      );
      // Leases run out; the others nobody but a failure of the store can have taken.
      const ended = missing.filter((nat4) => lost || hooks.lapsed(nat4));
      const rescued = ended.length === 0 ? undefined : await hooks.rescue(ended);
      for (const nat4 of missing)
        if (!rescued?.has(nat4) && !changed(nat4)) batch.push(applyLater(nat4, undefined));
      await Promise.all(batch);
      if (lost) hooks.doubt();
      lineage = current;
    });

  async function run(signal: AbortSignal): Promise<void> {
    let loading: Promise<void> | undefined;

    async function loadWhileWanted(): Promise<void> {
      while (wanted && !signal.aborted) {
        wanted = false;
        reloading = true;
        try {
          await load();
          reloading = false;
          firstLoadDone();
        } catch (error) {
          if (!(error instanceof Eg46Error)) log.error({ err: error }, "loading the mappings failed");
          wanted = true;
          await sleep(retryMs, signal);
        }
      }
      loading = undefined;
    }

    const listener = {
      changed(text: string, value: string | undefined) {
        const nat4 = ipv4ToNumber(text);
        void (value === undefined ? removed(nat4) : applyLater(nat4, value));
      },
      resync() {
        wanted = true;
        loading ??= loadWhileWanted();
      },
    };
    while (!signal.aborted) {
      try {
        await store.watch(listener, signal);
      } catch (error) {
        log.error({ err: error }, "watching the mappings failed");
      }
      // Also when the store was closed under us: no busy loop.
      await sleep(retryMs, signal);
    }
    await loading;
  }

  return { apply, removed, reading, run, current: () => !wanted && !reloading, loaded };
}
