/** System calls of the generators, beyond those of the data plane. Blocking unless a flag says otherwise. */
import koffi from "koffi";
import { isIpv4 } from "../../../src/addresses.ts";
import { addressOf, bindSocket, checked, setsockopt, socket } from "../../../src/dataplane/syscalls.ts";
import { mappedBytes } from "../../../src/engine/address-form.ts";

const libc = koffi.load(null);
type Call<Arguments extends number[]> = (...args: Arguments) => number;

/** (fd, address of `struct mmsghdr`s, count, flags) → messages sent. */
export const sendmmsg = libc.func("sendmmsg", "int", ["int", "uintptr_t", "uint", "int"]) as unknown as Call<
  [fd: number, messages: number, count: number, flags: number]
>;
/** (fd, address of `struct mmsghdr`s, count, flags, 0) → messages received. */
export const recvmmsg = libc.func("recvmmsg", "int", [
  "int",
  "uintptr_t",
  "uint",
  "int",
  "uintptr_t",
]) as unknown as Call<[fd: number, messages: number, count: number, flags: number, timeout: number]>;
/** (fd, 0, 0) → the new connection. */
export const accept = libc.func("accept", "int", ["int", "uintptr_t", "uintptr_t"]) as unknown as Call<
  [fd: number, address: number, length: number]
>;
export const shutdown = libc.func("shutdown", "int", ["int", "int"]) as unknown as Call<
  [fd: number, how: number]
>;
export const connect = libc.func("connect", "int", ["int", "void *", "uint"]) as unknown as (
  fd: number,
  address: Uint8Array,
  length: number,
) => number;

export const MSG_DONTWAIT = 0x40;
export const SHUT_WR = 1;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUFFORCE = 33;

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port: number): Uint8Array {
  const four = isIpv4(address);
  const bytes = new Uint8Array(four ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, four ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(four ? mappedBytes(address).subarray(12) : mappedBytes(address), four ? 4 : 8);
  return bytes;
}

export function openSocket(address: string, type: number): number {
  return checked("socket", socket(isIpv4(address) ? AF_INET : AF_INET6, type, 0));
}

/** A socket of both families on all addresses. */
export function openServer(type: number, port: number, receiveBuffer?: number): number {
  const fd = openSocket("::", type);
  const option = (name: number, value: number) =>
    checked("setsockopt", setsockopt(fd, SOL_SOCKET, name, new Uint8Array(Int32Array.of(value).buffer), 4));
  option(SO_REUSEADDR, 1);
  if (receiveBuffer !== undefined) option(SO_RCVBUFFORCE, receiveBuffer);
  const address = socketAddress("::", port);
  checked("bind", bindSocket(fd, address, address.length));
  return fd;
}

export interface Messages {
  /** Of the array of `struct mmsghdr`. */
  readonly address: number;
  readonly payload: Uint8Array;
  readonly words: Uint32Array;
  /** Of message i. */
  length(i: number): number;
  /** Read by the kernel by their addresses: not to be collected earlier. */
  readonly kept: readonly ArrayBufferView[];
}

const header = 64;

/** `count` messages of one buffer each, one behind the other in `payload`. For connected sockets: no name. */
export function messages(count: number, size: number): Messages {
  const headers = new Uint8Array(count * header);
  const vectors = new BigUint64Array(count * 2);
  const payload = new Uint8Array(count * size);
  const view = new DataView(headers.buffer);
  const [headerAt, vectorAt, payloadAt] = [headers, new Uint8Array(vectors.buffer), payload].map(addressOf);
  for (let i = 0; i < count; i++) {
    vectors[i * 2] = BigInt(payloadAt! + i * size);
    vectors[i * 2 + 1] = BigInt(size);
    view.setBigUint64(i * header + 16, BigInt(vectorAt! + i * 16), true);
    view.setBigUint64(i * header + 24, 1n, true);
  }
  return {
    address: headerAt!,
    payload,
    words: new Uint32Array(payload.buffer),
    length: (i) => view.getUint32(i * header + 56, true),
    kept: [headers, vectors],
  };
}
