import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Eg46Error } from "../errors.ts";
import type { ConfigSource } from "./source.ts";

/** What a file held, or why it could not be read. `root` is the path of the command line that led to it. */
export type Observation =
  | { readonly root: string; readonly bytes: Uint8Array }
  | { readonly root: string; readonly fault: string };

/** By path as shown to people, in order: roots as given, a directory's files sorted. A faulty directory stands for itself. */
export type Snapshot = ReadonlyMap<string, Observation>;

/** Room for 20,000 addresses. Larger files are only reported: parsing them would hold up everything else for seconds. */
export const maxFileBytes = 2 ** 20;

/** With two looks for a change to count, an edit is in force after 250 to 500 ms. */
const pollMs = 250;

/** ConfigSource of files and directories. `start` rejects with EG46_USAGE when a path cannot be read. */
export function fileSource(paths: readonly string[]): ConfigSource {
  return {
    async start(listener, signal) {
      const first = await observeAll(paths);
      void watch(paths, first, listener, signal);
      return first;
    },
  };
}

async function watch(
  paths: readonly string[],
  first: Snapshot,
  listener: (snapshot: Snapshot) => void,
  signal: AbortSignal,
): Promise<void> {
  let inForce = first;
  let previous = first;
  while (await pause(signal)) {
    const current = await observe(paths);
    const settled = settle(inForce, previous, current);
    previous = current;
    if (signal.aborted || sameSnapshot(settled, inForce)) continue;
    inForce = settled;
    listener(settled);
  }
}

async function pause(signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(pollMs, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

/** {@link observe}, but rejects with EG46_USAGE when one of the paths themselves cannot be read. */
export async function observeAll(paths: readonly string[]): Promise<Snapshot> {
  const snapshot = await observe(paths);
  for (const [file, observation] of snapshot)
    if ("fault" in observation && file === observation.root)
      throw new Eg46Error("EG46_USAGE", `-f ${file}: ${observation.fault}`);
  return snapshot;
}

/**
 * Reads every path: a file, or every .yaml and .yml directly in a directory. Never rejects. Content is read each
 * time: renames, bind mounts and ConfigMap links all show, whatever they do to inodes and times.
 */
export async function observe(paths: readonly string[]): Promise<Snapshot> {
  const snapshot = new Map<string, Observation>();
  const known = new Set<string>();
  for (const root of paths) {
    const files = await listFiles(root).catch((cause) => {
      snapshot.set(root, { root, fault: faultOf(cause) });
      return [];
    });
    for (const file of files) {
      if (known.has(resolve(file))) continue;
      known.add(resolve(file));
      const observation = await readOne(root, file);
      if (observation) snapshot.set(file, observation);
    }
  }
  return snapshot;
}

/**
 * A file counts as changed only once two looks in a row agree: what is being written is left to finish.
 * A file that did not change keeps its observation, the same object.
 */
export function settle(inForce: Snapshot, previous: Snapshot, current: Snapshot): Snapshot {
  const settled = new Map<string, Observation>();
  for (const file of new Set([...current.keys(), ...inForce.keys()])) {
    const [before, now] = [inForce.get(file), current.get(file)];
    const calm = sameObservation(previous.get(file), now);
    const observation = calm && !sameObservation(before, now) ? now : before;
    if (observation) settled.set(file, observation);
  }
  return settled;
}

export function sameSnapshot(a: Snapshot, b: Snapshot): boolean {
  return (
    a.size === b.size && [...a].every(([file, observation]) => sameObservation(observation, b.get(file)))
  );
}

export function sameObservation(a: Observation | undefined, b: Observation | undefined): boolean {
  if (!a || !b) return a === b;
  if ("fault" in a || "fault" in b) return "fault" in a && "fault" in b && a.fault === b.fault;
  return a.bytes.length === b.bytes.length && Buffer.compare(a.bytes, b.bytes) === 0;
}

/** The files that a root stands for: itself, or those of a directory. Rejects when a directory cannot be listed. */
async function listFiles(root: string): Promise<string[]> {
  const isDirectory = await stat(root).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isDirectory) return [root];
  const names = await readdir(root);
  return names
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(root, name));
}

/** undefined: nothing to read there, as a directory inside a directory or a file that has just been deleted. */
async function readOne(root: string, file: string): Promise<Observation | undefined> {
  try {
    const stats = await stat(file);
    if (stats.isDirectory() && file !== root) return undefined;
    if (!stats.isFile()) return { root, fault: "is neither a file nor a directory" };
    if (stats.size > maxFileBytes) return { root, fault: `is larger than ${maxFileBytes} bytes` };
    return { root, bytes: await readFile(file) };
  } catch (cause) {
    const fault = faultOf(cause);
    return fault === missing && file !== root ? undefined : { root, fault };
  }
}

const missing = "does not exist";

function faultOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code === "ENOENT" ? missing : `cannot be read: ${message}`;
}
