import { ipv4ToNumber, ipv6ToBytes, numberToIpv4 } from "../addresses.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { decodeValue } from "./codec.ts";
import { sleep } from "./deadline.ts";
import { createLossGuard } from "./loss-guard.ts";
import type { MappingTable } from "./mapping-table.ts";
import type { MappingStore } from "./store.ts";

/** Whether an address changed since a read of the store began: what the read says of it may be out of date. */
export type ChangedSince = (nat4: number) => boolean;

export interface MappingSync {
  /** Brings table and engine in line with a stored value (undefined = no entry); resolves when the engine has it. */
  apply(nat4: number, value: string | undefined): Promise<void>;
  /** Runs a read of the store, telling it what changed since it began. */
  reading<T>(read: (changed: ChangedSince) => Promise<T>): Promise<T>;
  /** Loads and follows the store until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Addresses that were another host's after a failover of the store. */
  conflicts(): number;
  /** Resolves after the first full load. */
  readonly loaded: Promise<void>;
}

const retryMs = 250;
/** Installs under way at once during a full load: the workers' queues stay short. */
const batchSize = 1000;

export function createSync(
  store: MappingStore,
  sink: MappingSink,
  table: MappingTable,
  log: Logger,
): MappingSync {
  // Changes are numbered as long as a read is under way: `lastChange` has the latest of each address.
  const lastChange = new Map<number, number>();
  let changes = 0;
  let reads = 0;
  let firstLoadDone = () => {};
  const loaded = new Promise<void>((resolve) => {
    firstLoadDone = resolve;
  });

  function apply(nat4: number, value: string | undefined): Promise<void> {
    if (reads > 0) lastChange.set(nat4, ++changes);
    const host6 = value === undefined ? undefined : decodeValue(value)?.host6;
    const old = table.entries.get(nat4);
    if (host6 !== undefined) {
      if (host6 === old?.host6) return old.installed;
      const entry = { host6, installed: sink.install(nat4, ipv6ToBytes(host6)) };
      table.set(nat4, entry);
      // The engine doesn't have it after all: forget it, so that the next who asks tries again.
      entry.installed.catch(() => table.entries.get(nat4) === entry && table.drop(nat4));
      return entry.installed;
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
      if (reads === 0) lastChange.clear();
    }
  }

  function applyLater(nat4: number, value: string | undefined): Promise<void> {
    return apply(nat4, value).catch((error) => {
      log.error({ err: error, nat4: numberToIpv4(nat4) }, "the engine did not take a mapping");
    });
  }

  const guard = createLossGuard(store, log);

  const load = () =>
    reading(async (changed) => {
      const listed = new Set<number>();
      const batch: Promise<void>[] = [];
      for await (const [text, value] of store.list()) {
        const nat4 = ipv4ToNumber(text);
        listed.add(nat4);
        guard.listed(nat4, value, table.entries.get(nat4)?.host6);
        if (!changed(nat4)) batch.push(applyLater(nat4, value));
        if (batch.length >= batchSize) await Promise.all(batch.splice(0));
      }
      const missing = [...table.entries.keys(), ...table.malformed].filter(
        (nat4) => !listed.has(nat4) && !changed(nat4),
      );
      const back = await guard.missing(
        missing.flatMap((nat4) => {
          const host6 = table.entries.get(nat4)?.host6;
          return host6 === undefined ? [] : [[nat4, host6] as const];
        }),
      );
      for (const nat4 of missing) if (!changed(nat4)) batch.push(applyLater(nat4, back.get(nat4)));
      await Promise.all(batch);
      guard.settled();
    });

  async function run(signal: AbortSignal): Promise<void> {
    let wanted = false;
    let loading: Promise<void> | undefined;

    async function loadWhileWanted(): Promise<void> {
      while (wanted && !signal.aborted) {
        wanted = false;
        try {
          await load();
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
      changed: (text: string, value: string | undefined) => void applyLater(ipv4ToNumber(text), value),
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

  return { apply, reading, run, conflicts: guard.conflicts, loaded };
}
