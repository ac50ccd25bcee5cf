import { readlinkSync, statSync } from "node:fs";

/**
 * The --store that `run` and `mappings` use unless told otherwise: one folder for each network namespace, so that
 * several gateways of one host share nothing. Where PID 1 is hidden, its namespace is taken to be ours.
 */
export function defaultStore(): string {
  const shared = netFile("1") === undefined || netFile("1") === netFile("self");
  // The link reads `net:[4026531840]`.
  const folder = shared ? "default" : `net-${/\d+/.exec(readlinkSync("/proc/self/ns/net"))?.[0]}`;
  return `lmdb:/var/lib/egress46/${folder}`;
}

/**
 * Inode of a file that every network namespace has its own of. The link /proc/1/ns/net would say the same, but may be
 * read only by who may trace PID 1: not by an ordinary user, and in some containers not by root either.
 */
function netFile(pid: string): number | undefined {
  try {
    return statSync(`/proc/${pid}/net/dev`).ino;
  } catch {
    return undefined;
  }
}
