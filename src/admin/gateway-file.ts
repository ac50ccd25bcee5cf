import { readlinkSync } from "node:fs";

/**
 * How commands find the gateway of their own network namespace: netd writes this file, the clients read it.
 * The name holds the namespace's inode, so gateways in several namespaces of one host have a file each.
 */
export interface GatewayFile {
  readonly pid: number;
  /** The --admin address, `host:port`. */
  readonly admin: string;
}

export const runDirectory = "/run/egress46";

/** Path of the file for the network namespace of the calling process. */
export function gatewayFilePath(directory: string = runDirectory): string {
  // The link reads `net:[4026531840]`; stat's inode would be the same number.
  const inode = /\d+/.exec(readlinkSync("/proc/self/ns/net"))?.[0];
  return `${directory}/net-${inode}.json`;
}
