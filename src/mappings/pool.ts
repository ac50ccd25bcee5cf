import { createHmac } from "node:crypto";
import { ipv4ToNumber, ipv6ToBytes, parseCidr } from "../addresses.ts";

/** The addresses that DNS46 may hand out: `size` numbers in host order, from `first` on. */
export interface Pool {
  readonly first: number;
  readonly size: number;
  /** The whole subnet, for telling whether an address belongs to it. */
  readonly network: number;
  readonly subnetSize: number;
}

/** How many addresses a host may get: few enough to read in one round trip, enough that a 90 % full pool serves all. */
export const windowSize = 128;

/** Published on purpose: every gateway must come to the same window, whatever its version. Never change it. */
const windowKey = "egress46 dns46 window 1";

/**
 * `reserved` counts from the first host address on (10.0.0.0/24 with 10 leaves out .1 to .10). Network and broadcast
 * address are never handed out, but for /31 and /32, which have none (RFC 3021). Throws TypeError.
 */
export function poolOf({ subnet, reserved }: { subnet: string; reserved: number }): Pool {
  const { network, prefixLength, family } = parseCidr(subnet);
  if (family !== 4) throw new TypeError(`'${subnet}' is not an IPv4 subnet`);
  const subnetSize = 2 ** (32 - prefixLength);
  const edge = subnetSize > 2 ? 1 : 0;
  const start = ipv4ToNumber(network);
  return {
    first: start + edge + reserved,
    size: Math.max(0, subnetSize - 2 * edge - reserved),
    network: start,
    subnetSize,
  };
}

export function inSubnet(pool: Pool, nat4: number): boolean {
  return nat4 >= pool.network && nat4 < pool.network + pool.subnetSize;
}

export function inPool(pool: Pool, nat4: number): boolean {
  return nat4 >= pool.first && nat4 < pool.first + pool.size;
}

/** The addresses that `host6` may get, in order of preference, without repeats: min(128, pool size) of them. */
export function windowOf(pool: Pool, host6: string): number[] {
  const { first, size } = pool;
  if (size === 0) return [];
  const digest = createHmac("sha256", windowKey).update(ipv6ToBytes(host6)).digest();
  const start = digest.readUIntBE(0, 6) % size;
  // Double hashing: a step without a common divisor walks the whole pool before it repeats itself.
  let step = size === 1 ? 0 : 1 + (digest.readUIntBE(6, 6) % (size - 1));
  while (size > 1 && commonDivisor(step, size) !== 1) step = (step % (size - 1)) + 1;
  const window: number[] = [];
  for (let offset = start; window.length < Math.min(windowSize, size); offset = (offset + step) % size)
    window.push(first + offset);
  return window;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
