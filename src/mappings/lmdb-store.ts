import { chownSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { open, type RootDatabase } from "lmdb";
import { keyOf, keyPrefix, nat4OfKey } from "./codec.ts";
import { callBudgetMs, unavailable, within } from "./deadline.ts";
import { pollChanges } from "./poll-watch.ts";
import type { MappingStore } from "./store.ts";

/** LMDB itself tells nobody of changes, so we look at its transaction number this often. */
const pollMs = 80;
const pageSize = 1000;
/** After every key: dotted text has only digits and dots, which sort before the colon. */
const keyEnd = `${keyPrefix}:`;

/**
 * The embedded store: a folder (made when absent) that several processes of one PID namespace may have open at once.
 * Keys and values are the same text as in Redis. Rejects with EG46_STORE_UNAVAILABLE when the folder cannot be used.
 */
export async function openLmdbStore(dir: string): Promise<MappingStore> {
  const name = `lmdb:${dir}`;
  const db = openFolder(dir, name);
  const closing = new AbortController();

  function bounded<T>(operation: string, work: () => T | Promise<T>): Promise<T> {
    const what = `${name}: ${operation}`;
    if (closing.signal.aborted) return Promise.reject(unavailable(what, "the store is closed"));
    return within(callBudgetMs, what, Promise.resolve().then(work));
  }

  function read(nat4: string): string | undefined {
    return db.get(keyOf(nat4));
  }

  async function* list(): AsyncGenerator<readonly [nat4: string, value: string]> {
    for (let start = keyPrefix; ; ) {
      const page = await bounded("list", () => {
        db.resetReadTxn();
        return [...db.getRange({ start, exclusiveStart: true, end: keyEnd, limit: pageSize })];
      });
      for (const { key, value } of page) {
        const nat4 = nat4OfKey(key);
        if (nat4 !== undefined) yield [nat4, value];
      }
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) return;
      start = last.key;
      await nextTurn();
    }
  }

  return {
    name,
    connected: () => !closing.signal.aborted,
    list,
    get: (nat4) =>
      bounded("get", () => {
        // Without this, reads of one turn share a snapshot that may be older than another process's write.
        db.resetReadTxn();
        return read(nat4);
      }),
    getMany: (nat4s) =>
      bounded("get", () => {
        db.resetReadTxn();
        return nat4s.map(read);
      }),
    claim: (nat4, value) =>
      bounded("claim", async () => {
        const key = keyOf(nat4);
        const created = await db.ifNoExists(key, () => db.put(key, value));
        // An address may only leave in a DNS answer once a power cut can't take it back.
        await db.flushed;
        return created;
      }),
    release: (nat4) =>
      bounded("release", async () => {
        const key = keyOf(nat4);
        const existed = await db.transaction(() => {
          const found = db.doesExist(key);
          if (found) db.remove(key);
          return found;
        });
        await db.flushed;
        return existed;
      }),
    async watch(listener, signal) {
      const version = () => {
        db.resetReadTxn();
        return (db.getStats() as { lastTxnId: number }).lastTxnId;
      };
      await pollChanges(
        { intervalMs: pollMs, version, list },
        listener,
        AbortSignal.any([signal, closing.signal]),
      );
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      await within(callBudgetMs, `${name}: close`, db.close());
    },
  };
}

function openFolder(dir: string, name: string): RootDatabase<string, string> {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o750 });
    const db = open<string, string>({ path: dir, noSubdir: false, encoding: "string" });
    db.readerCheck();
    giveToOwner(dir);
    return db;
  } catch (error) {
    throw unavailable(`${name}: open`, error);
  }
}

/** Root's command line may be the first to touch the folder; the unprivileged gateway must still be able to write. */
function giveToOwner(dir: string): void {
  const { uid, gid } = statSync(dir);
  if (process.getuid?.() !== 0 || uid === 0) return;
  for (const file of ["data.mdb", "lock.mdb"]) chownSync(join(dir, file), uid, gid);
}
