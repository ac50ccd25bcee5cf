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

/** Where in a pool the candidates of a host are, by double hashing. */
export interface Probe {
  readonly start: number;
  /** Without a common divisor with the pool's size, so that it walks the whole pool before it repeats itself. */
  readonly step: number;
}

/** Only for a pool that has addresses. */
export function probeOf({ size }: Pool, host6: string): Probe {
  const digest = createHmac("sha256", windowKey).update(ipv6ToBytes(host6)).digest();
  const start = digest.readUIntBE(0, 6) % size;
  let step = size === 1 ? 0 : 1 + (digest.readUIntBE(6, 6) % (size - 1));
  while (size > 1 && commonDivisor(step, size) !== 1) step = (step % (size - 1)) + 1;
  return { start, step };
}

/** The `index`th candidate, from 0. */
export function candidateAt({ first, size }: Pool, { start, step }: Probe, index: number): number {
  return first + ((start + index * step) % size);
}

/** The addresses that `host6` may get, in order of preference, without repeats: min(128, pool size) of them. */
export function windowOf(pool: Pool, host6: string): number[] {
  if (pool.size === 0) return [];
  const probe = probeOf(pool, host6);
  return Array.from({ length: Math.min(windowSize, pool.size) }, (_, index) =>
    candidateAt(pool, probe, index),
  );
}

/**
 * Of how many addresses one is free, but for one time in a thousand, in a pool of which the share `used` is taken. The
 * whole window where that is many: then a second read would cost more than the longer first one.
 */
export function likelyFree(used: number): number {
  if (used >= 1) return windowSize;
  const count = Math.max(4, Math.ceil(Math.log(0.001) / Math.log(used)));
  return count > windowSize / 4 ? windowSize : count;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
