import { chownSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { open, type RootDatabase } from "lmdb";
import type { Logger } from "../log.ts";
import { keyOf, keyPrefix, nat4OfKey } from "./codec.ts";
import { callBudgetMs, unavailable, within } from "./deadline.ts";
import { checkLmdbFile } from "./lmdb-check.ts";
import { createLmdbRecords } from "./lmdb-records.ts";
import { snapshotId } from "./lmdb-snapshot.ts";
import { createWriteGate } from "./lmdb-space.ts";
import { pollChanges } from "./poll-watch.ts";
import type { MappingStore, Place } from "./store.ts";

/** LMDB itself tells nobody of changes, so we look at the number of the transaction that reads see this often. */
const pollMs = 80;
const pageSize = 1000;
/** More than LMDB's table of 126 readers. */
const lockSize = 12_288;
/** After every key: dotted text has only digits and dots, which sort before the colon. */
const keyEnd = `${keyPrefix}:`;

/**
 * The embedded store: a folder, named `dir` and reached as `folder`, that several processes of one PID namespace may have open at once. Keys and values are
 * the same text as in Redis. Rejects with EG46_STORE_UNAVAILABLE when the folder cannot be used, EG46_STORE_CORRUPT when
 * LMDB could not be trusted with its file. A full file system refuses claims; reading goes on.
 */
export async function openLmdbStore(
  dir: string,
  options: { readonly folder: string; readonly log: Logger; readonly create: boolean },
): Promise<MappingStore> {
  const name = `lmdb:${dir}`;
  const { folder, log, create } = options;
  const db = openFolder(folder, name, create);
  const gate = createWriteGate(folder, name, log);
  const closing = new AbortController();
  /** While somebody watches: what others were told since the last look. */
  let told: Map<string, string | undefined> | undefined;
  /**
   * The asynchronous transactions of this process since then. One that changed nothing is among them under a number that
   * another process may have next.
   */
  const ours = new Set<number>();

  function bounded<T>(operation: string, work: () => T | Promise<T>): Promise<T> {
    const what = `${name}: ${operation}`;
    if (closing.signal.aborted) return Promise.reject(unavailable(what, "the store is closed"));
    return within(callBudgetMs, what, Promise.resolve().then(work));
  }

  function read(nat4: string): string | undefined {
    const value = db.get(keyOf(nat4));
    told?.set(nat4, value);
    return value;
  }

  db.on("aftercommit", ({ txnId }: { readonly txnId?: number }) => {
    if (told !== undefined && txnId !== undefined) ours.add(txnId);
  });

  /** What we wrote up to there is known to be ours: readers see a commit before we hear of it. */
  async function ownVersion(): Promise<number> {
    const version = snapshotId(db);
    await bounded("watch", () => db.committed);
    return version;
  }

  function onlyTold(after: number, upTo: number): boolean {
    let missing = upTo - after;
    for (const id of ours) {
      if (id > after && id <= upTo) missing--;
      if (id <= upTo) ours.delete(id);
    }
    return missing === 0;
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

  /** Resolves once a power cut can't take it back. */
  async function commit<T>(work: () => Promise<T> | T): Promise<T> {
    const problem = gate.check();
    if (problem !== undefined) throw new Error(problem);
    try {
      const result = await work();
      await db.flushed;
      return result;
    } catch (error) {
      const reason = await commitError(error);
      gate.failed(reason.message);
      throw reason;
    }
  }

  const write = <T>(work: () => T) => bounded("write", () => commit(work));
  const records = createLmdbRecords(db, write, (nat4) => told?.set(nat4, undefined), log);
  const sweeping = records.sweep(closing.signal);

  return {
    name,
    records: {
      getMany: (keys) => bounded("get", () => records.getMany(keys)),
      put: records.put,
      remove: records.remove,
      list: records.list,
    },
    connected: () => !closing.signal.aborted,
    problem: () => (closing.signal.aborted ? "the store is closed" : gate.problem()),
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
    window: (nat4s) =>
      bounded("get", () => {
        db.resetReadTxn();
        return nat4s.map((nat4): Place => {
          const value = read(nat4);
          return { value, heldFor: value === undefined ? records.holder(nat4) : undefined };
        });
      }),
    claim: (nat4, value, lease) =>
      bounded("claim", () =>
        commit(async () => {
          const key = keyOf(nat4);
          const made = await db.ifNoExists(key, () => {
            // It rejects together with what is awaited here.
            db.put(key, value).catch(() => {});
            if (lease !== undefined) records.lease(nat4, value, lease);
          });
          if (made) told?.set(nat4, value);
          return made;
        }),
      ),
    renew: records.renew,
    release: (nat4) =>
      bounded("release", async () => {
        const key = keyOf(nat4);
        try {
          const existed = db.transactionSync(() => {
            const found = db.doesExist(key);
            if (found) db.remove(key);
            records.released(nat4);
            return found;
          });
          told?.set(nat4, undefined);
          await db.flushed;
          return existed;
        } catch (error) {
          throw await commitError(error);
        }
      }),
    async watch(listener, signal) {
      const takeTold = () => {
        const taken = told;
        told = new Map();
        return taken ?? told;
      };
      takeTold();
      const source = {
        intervalMs: pollMs,
        version: ownVersion,
        list,
        told: takeTold,
        onlyTold,
        get: (nat4: string) => db.get(keyOf(nat4)),
      };
      try {
        await pollChanges(source, listener, AbortSignal.any([signal, closing.signal]));
      } finally {
        told = undefined;
        ours.clear();
      }
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      gate.close();
      await sweeping;
      // After a failed commit the package may wait for ever for one that was never begun: everything that was answered
      // for is on disk already.
      await within(callBudgetMs, `${name}: close`, db.close()).catch((error: Error) =>
        log.warn(error.message),
      );
    },
  };
}

/** The lmdb package says why a commit failed by another promise, which nobody else looks at. */
async function commitError(error: unknown): Promise<Error> {
  const failure = error as Error & { commitError?: Promise<never> };
  const reason = (await failure.commitError?.catch((cause: Error) => cause)) ?? failure;
  return new Error(reason.message.split(": Attempting")[0], { cause: reason });
}

function openFolder(dir: string, name: string, create: boolean): RootDatabase<string, string> {
  const file = join(dir, "data.mdb");
  const exists = existsSync(file);
  if (!exists && !create) throw unavailable(`${name}: open`, "there is no store in this folder");
  try {
    if (exists) checkLmdbFile(file, `${name}: data.mdb`);
    else mkdirSync(dir, { recursive: true, mode: 0o750 });
    allocateLock(join(dir, "lock.mdb"));
    // Batches by event turn leave a promise behind that nobody can reach, and that rejects when the disk is full.
    const db = open<string, string>({
      path: dir,
      noSubdir: false,
      encoding: "string",
      eventTurnBatching: false,
    });
    db.readerCheck();
    giveToOwner(dir);
    return db;
  } catch (error) {
    // A file that was begun and not finished would pass for a broken store at the next start.
    if (!exists && statSync(file, { throwIfNoEntry: false })?.size === 0) rmSync(file);
    throw unavailable(`${name}: open`, error);
  }
}

/** LMDB maps this file, too: where the disk is full, the first touch of a page that it has no room for is fatal. */
function allocateLock(file: string): void {
  if (!existsSync(file)) writeFileSync(file, Buffer.alloc(lockSize), { flag: "wx", mode: 0o664 });
}

/** Root's command line may be the first to touch the folder; the unprivileged gateway must still be able to write. */
function giveToOwner(dir: string): void {
  const { uid, gid } = statSync(dir);
  if (process.getuid?.() !== 0 || uid === 0) return;
  for (const file of ["data.mdb", "lock.mdb"]) chownSync(join(dir, file), uid, gid);
}
