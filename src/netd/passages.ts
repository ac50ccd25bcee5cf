import { statSync } from "node:fs";
import { dirname } from "node:path";
import { checked, close, O_CLOEXEC, open } from "../dataplane/syscalls.ts";

/** open(2): stands for a place in the file system, and gives no access to it. */
const O_PATH = 0o10000000;

/**
 * Ways for a process of another user to files below folders that are closed to it (/root, a folder of mktemp): it
 * inherits a descriptor of the first place behind the last closed folder, and starts from there. The file's own mode
 * still decides what it may do with it.
 */
export interface Passages {
  /** In the order of the child's descriptor numbers. */
  readonly descriptors: readonly number[];
  /** The path by which the child reaches `path`: the same where nothing is closed. */
  to(path: string): string;
  /** After the spawn. */
  close(): void;
}

/** `firstFd`: the number that the first of the descriptors gets in the child. */
export function createPassages(uid: number, firstFd: number): Passages {
  const descriptors: number[] = [];
  return {
    descriptors,
    to(path) {
      const entry = entryTo(path, (folder) => maySearch(folder, uid));
      if (entry === undefined) return path;
      const fd = checked(`open ${entry}`, open(entry, O_PATH | O_CLOEXEC));
      return `/proc/self/fd/${firstFd + descriptors.push(fd) - 1}${path.slice(entry.length)}`;
    },
    close() {
      for (const fd of descriptors) close(fd);
    },
  };
}

/** The first place on an absolute path behind its last closed folder; undefined when all of them are open. */
export function entryTo(path: string, open: (folder: string) => boolean): string | undefined {
  for (let entry = path; entry !== "/"; entry = dirname(entry)) if (!open(dirname(entry))) return entry;
  return undefined;
}

function maySearch(folder: string, uid: number): boolean {
  return allows(folder, uid, 1);
}

/** 4 = read, 1 = search or execute. By mode alone: an access list that allows more is not looked at. */
export function allows(path: string, uid: number, access: number): boolean {
  const { mode, uid: owner } = statSync(path);
  return ((mode >> (owner === uid ? 6 : 0)) & access) !== 0;
}
