/** What the listening sockets have in common that netd opens for the gateway process. */
import { ipv6ToBytes } from "../addresses.ts";
import { checked, setsockopt } from "../dataplane/syscalls.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SOL_IP = 0;
export const IP_FREEBIND = 15;

const one = Buffer.from(new Int32Array([1]).buffer);

/** Throws with the option's name. */
export function enable(fd: number, name: string, level: number, option: number): void {
  checked(name, setsockopt(fd, level, option, one, one.length));
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in host order, port and address in wire order. */
export function socketAddress(family: 4 | 6, address: string, port: number): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28);
  bytes.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  if (family === 4) bytes.set(address.split(".").map(Number), 4);
  else bytes.set(ipv6ToBytes(address), 8);
  return bytes;
}

/** Why a socket can't be had, for an error's text. */
export function whyNotOpened(cause: unknown): unknown {
  const used = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
  return used ? "another process has it" : cause;
}
