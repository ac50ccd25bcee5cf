import { setImmediate as nextTurn } from "node:timers/promises";
import type { RootDatabase } from "lmdb";
import type { Logger } from "../log.ts";
import { decodeValue, keyOf } from "./codec.ts";
import { sleep } from "./deadline.ts";
import { createRecordClock } from "./lmdb-clock.ts";
import { heldKey, leaseKey, leasePrefix, recordRange } from "./record-keys.ts";
import type { Lease, RecordStore, RenewableLease, Renewal } from "./store.ts";

/** LMDB knows no time: our records begin with their end, Unix time in milliseconds, and are swept by whoever has it open. */
type Database = RootDatabase<string, string>;

const lookMs = 500;
const longestMs = 60_000;
const pageSize = 1000;

interface Dated {
  readonly endMs: number;
  readonly value: string;
}

function dated(text: string | undefined): Dated | undefined {
  if (text === undefined) return undefined;
  const space = text.indexOf(" ");
  return { endMs: Number(text.slice(0, space)), value: text.slice(space + 1) };
}

export interface LmdbRecords extends RecordStore {
  /** Inside the transaction that creates the entry. */
  lease(nat4: string, value: string, lease: Lease): void;
  renew(leases: readonly RenewableLease[]): Promise<Renewal[]>;
  /** Inside the transaction that removes the entry. */
  released(nat4: string): void;
  /** Who an address is held for. */
  holder(nat4: string): string | undefined;
  /** Until the signal. */
  sweep(signal: AbortSignal): Promise<void>;
}

/**
 * `write` resolves once what its work has put is on disk; `gone` hears of each entry that has ended. Nothing here uses LMDB's transactions with an asynchronous
 * callback: one that waits for its turn while the same thread begins a synchronous one would wait for ever.
 */
export function createLmdbRecords(
  db: Database,
  write: <T>(work: () => T) => Promise<T>,
  gone: (nat4: string) => void,
  log: Logger,
): LmdbRecords {
  const { now, adjust } = createRecordClock(db, write, log);
  let nextEndMs = 0;

  function read(key: string): string | undefined {
    const found = dated(db.get(key));
    return found !== undefined && found.endMs > now() ? found.value : undefined;
  }

  function set(key: string, value: string, lifeMs: number): void {
    const endMs = Math.ceil(now() + lifeMs);
    nextEndMs = Math.min(nextEndMs, endMs);
    db.put(key, `${endMs} ${value}`).catch(() => {});
  }

  /** Like set(), but never to an earlier end. */
  function lengthen(key: string, value: string, lifeMs: number): void {
    const found = dated(db.get(key));
    if (found?.value !== value || found.endMs < now() + lifeMs) set(key, value, lifeMs);
  }

  function isThere({ nat4, host6 }: RenewableLease): boolean {
    return decodeValue(db.get(keyOf(nat4)) ?? "")?.host6 === host6;
  }

  function renew(wanted: RenewableLease): Renewal {
    const { nat4, host6, entryMs, heldMs, own } = wanted;
    const value = db.get(keyOf(nat4));
    if (value === undefined || !isThere(wanted)) return "gone";
    const leased = dated(db.get(leaseKey(nat4)))?.value;
    if (leased !== value && !(own && leased === undefined)) return "foreign";
    lengthen(leaseKey(nat4), value, entryMs);
    lengthen(heldKey(nat4), host6, heldMs);
    return "renewed";
  }

  /**
   * What has ended goes, and a leased entry with its record, unless somebody has put another one there since. Returns the
   * addresses of these entries.
   */
  function removeEnded(keys: readonly string[], nowMs: number): string[] {
    const nat4s: string[] = [];
    for (const key of keys) {
      const found = dated(db.get(key));
      if (found === undefined || found.endMs > nowMs) continue;
      db.remove(key).catch(() => {});
      if (!key.startsWith(leasePrefix)) continue;
      const nat4 = key.slice(leasePrefix.length);
      if (db.get(keyOf(nat4)) !== found.value) continue;
      db.remove(keyOf(nat4)).catch(() => {});
      nat4s.push(nat4);
    }
    return nat4s;
  }

  async function look(signal: AbortSignal): Promise<void> {
    const nowMs = now();
    nextEndMs = nowMs + longestMs;
    for (let start: string = recordRange.start; !signal.aborted; ) {
      db.resetReadTxn();
      const page = [...db.getRange({ start, exclusiveStart: true, end: recordRange.end, limit: pageSize })];
      const ended: string[] = [];
      for (const { key, value } of page) {
        const endMs = dated(value)?.endMs ?? 0;
        if (endMs <= nowMs) ended.push(key);
        else nextEndMs = Math.min(nextEndMs, endMs);
      }
      if (ended.length > 0)
        for (const nat4 of await write(() => db.transactionSync(() => removeEnded(ended, nowMs)))) gone(nat4);
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) return;
      start = last.key;
      await nextTurn();
    }
  }

  async function lookIfDue(signal: AbortSignal): Promise<void> {
    db.resetReadTxn();
    if (await adjust(lengthenAll)) nextEndMs = 0;
    if (now() >= nextEndMs) await look(signal);
  }

  function lengthenAll(byMs: number): void {
    for (const { key, value: text } of [...db.getRange(recordRange)]) {
      const { endMs = 0, value } = dated(text) ?? {};
      db.put(key, `${endMs + byMs} ${value}`).catch(() => {});
    }
  }

  return {
    lease(nat4, value, { host6, entryMs, heldMs }) {
      set(leaseKey(nat4), value, entryMs);
      set(heldKey(nat4), host6, heldMs);
    },
    async renew(leases) {
      db.resetReadTxn();
      const renewals = await write(() => leases.map(renew));
      // Another process may have swept an entry just before its new end was there.
      db.resetReadTxn();
      return renewals.map((renewal, index) =>
        renewal === "renewed" && !isThere(leases[index]!) ? "gone" : renewal,
      );
    },
    released: (nat4) => void db.remove(leaseKey(nat4)).catch(() => {}),
    holder: (nat4) => read(heldKey(nat4)),
    async getMany(keys) {
      db.resetReadTxn();
      return keys.map(read);
    },
    async put(records) {
      await write(() => {
        for (const { key, value, lifeMs } of records) set(key, value, lifeMs);
      });
    },
    async remove(keys) {
      await write(() => {
        for (const key of keys) db.remove(key).catch(() => {});
      });
    },
    async *list(prefix) {
      for (let start = prefix; ; ) {
        db.resetReadTxn();
        const end = `${prefix}\u{10ffff}`;
        const page = [...db.getRange({ start, exclusiveStart: true, end, limit: pageSize })];
        for (const { key, value } of page) {
          const found = dated(value);
          if (found !== undefined && found.endMs > now()) yield [key, found.value] as const;
        }
        const last = page.at(-1);
        if (last === undefined || page.length < pageSize) return;
        start = last.key;
        await nextTurn();
      }
    },
    async sweep(signal) {
      while (!signal.aborted) {
        await sleep(lookMs, signal);
        const startMs = performance.now();
        // A store that can't be written to now, is later.
        if (!signal.aborted) await lookIfDue(signal).catch(() => {});
        await sleep(20 * (performance.now() - startMs), signal);
      }
    },
  };
}
