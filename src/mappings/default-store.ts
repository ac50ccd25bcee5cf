import { readlinkSync } from "node:fs";

/**
 * The --store that `run` and `mappings` use unless told otherwise: one folder for each network namespace, so that
 * several gateways of one host share nothing. Where PID 1's namespace may not be looked at (no privilege), we take it
 * to be ours.
 */
export function defaultStore(): string {
  const own = netNamespace("self");
  const first = netNamespace("1");
  const folder = own === undefined || first === undefined || own === first ? "default" : `net-${own}`;
  return `lmdb:/var/lib/egress46/${folder}`;
}

/** Inode number of a process's network namespace, from a link text such as `net:[4026531840]`. */
function netNamespace(pid: string): string | undefined {
  try {
    return /\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0];
  } catch {
    return undefined;
  }
}
