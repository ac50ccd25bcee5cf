import type { RootDatabase } from "lmdb";

/**
 * Number of the transaction that this process's reads see now; later ones see no older one. LMDB's own `lastTxnId` counts
 * a commit before readers see it, while it goes to disk: a listing of then would pass for one that has it.
 * NaN, which equals nothing: the table of readers doesn't tell.
 */
export function snapshotId(db: RootDatabase<string, string>): number {
  db.resetReadTxn();
  // Only a read takes a new snapshot.
  db.get("snapshot");
  const readers = db.readerList().matchAll(/^ *(\d+) +\S+ +(\d+)$/gm);
  const own = [...readers].filter(([, pid]) => Number(pid) === process.pid);
  return own.length === 0 ? Number.NaN : Math.min(...own.map(([, , transaction]) => Number(transaction)));
}
