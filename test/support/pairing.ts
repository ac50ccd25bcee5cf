/** Which SNAT address a Pod gets, slowly: the reference of assembly/core/pairing.ts. And how Pods' addresses lie in clusters. */
import { ipv4ToNumber, ipv6ToBytes, isIpv4, numberToIpv4 } from "../../src/addresses.ts";
import { mappedBytes } from "../../src/engine/address-form.ts";

const shares = 16384;
const parts = 512;
const step = 0x736a540fc12c529fn;
const stepHigh = 0x635f0c146af6648dn;
const u64 = (value: bigint) => BigInt.asUintN(64, value);

/** SplitMix64's finalizer. */
function scramble(word: bigint): bigint {
  let x = u64((word ^ (word >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

const view = (address: string) => new DataView(mappedBytes(address).buffer);

export function shareOf(pod: string): number {
  const bytes = view(pod);
  return Number(u64(bytes.getBigUint64(8) * step + bytes.getBigUint64(0) * stepHigh) >> 50n);
}

function keyOf(address: string): bigint {
  const bytes = view(address);
  return scramble(bytes.getBigUint64(0, true) ^ scramble(bytes.getBigUint64(8, true)));
}

/** The owner of each share; `pool` of one family. */
export function shareOut(pool: readonly string[]): string[] {
  const candidates = pool
    .map((address) => ({ address, key: keyOf(address), room: Math.floor(shares / pool.length) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const candidate of candidates.slice(0, shares % pool.length)) candidate.room++;
  const owners: string[] = [];
  for (let part = 1; part <= parts; part++) {
    const seed = scramble(BigInt(part));
    const weighed = candidates
      .filter(({ room }) => room > 0)
      .map((candidate) => ({ candidate, weight: scramble(candidate.key ^ seed) }));
    for (let left = shares / parts; left > 0; ) {
      const open = weighed.filter(({ candidate }) => candidate.room > 0);
      const { candidate } = open.reduce((best, each) => (each.weight > best.weight ? each : best));
      const given = Math.min(left, candidate.room);
      for (let i = 0; i < given; i++) owners.push(candidate.address);
      candidate.room -= given;
      left -= given;
    }
  }
  return owners;
}

/** `count` addresses, one after the other. */
export function consecutive(first: string, count: number): string[] {
  if (isIpv4(first)) return Array.from({ length: count }, (_, n) => numberToIpv4(ipv4ToNumber(first) + n));
  return Array.from({ length: count }, (_, n) => node6(first, 0, n));
}

/** A /64 a node; the Pods' numbers in it begin with that of `first`. */
function node6(first: string, node: number, pod: number): string {
  const bytes = ipv6ToBytes(first);
  const at = new DataView(bytes.buffer);
  at.setUint16(6, at.getUint16(6) + node);
  at.setUint32(12, at.getUint32(12) + pod);
  return Array.from({ length: 8 }, (_, word) => at.getUint16(word * 2).toString(16)).join(":");
}

export interface Pattern {
  readonly name: string;
  readonly family: 4 | 6;
  pod(n: number): string;
}

/** Blocks of 2^`bits` addresses for each node, of which the first `used` are Pods'. */
function blocks4(bits: number, used: number, place = (node: number) => node): Pattern["pod"] {
  const first = ipv4ToNumber("10.64.0.2");
  return (n) => numberToIpv4(first + (place(Math.floor(n / used)) << bits) + (n % used));
}

/** The same for each run. */
export function permutation(size: number): (n: number) => number {
  const order = Array.from({ length: size }, (_, n) => [scramble(BigInt(n) + 1n), n] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, n]) => n);
  return (n) => order[n % size]!;
}

export const regularPatterns: readonly Pattern[] = [
  { name: "one after the other", family: 4, pod: blocks4(16, 65000) },
  ...[
    [24, 10],
    [24, 30],
    [24, 64],
    [24, 110],
    [24, 250],
    [25, 30],
    [25, 110],
    [26, 30],
    [26, 61],
  ].map(
    ([length = 0, used = 0]): Pattern => ({
      name: `${used} of each node's /${length}`,
      family: 4,
      pod: blocks4(32 - length, used),
    }),
  ),
  ...[10, 30, 64, 110, 250].map(
    (used): Pattern => ({
      name: `${used} of each node's /64`,
      family: 6,
      pod: (n) => node6("fd00:10:244:0::2", Math.floor(n / used), n % used),
    }),
  ),
  { name: "IPv6, one after the other", family: 6, pod: (n) => node6("fd00:10:244:0::2", 0, n) },
  {
    name: "61 of each node's /122",
    family: 6,
    pod: (n) => node6("fd00:10:244:0::2", 0, Math.floor(n / 61) * 64 + (n % 61)),
  },
];

const anyBlock = permutation(1024);
const anyNode = permutation(256);
const anyPod = permutation(65536);
/** Here a function of the address alone can do little better than chance. */
export const irregularPatterns: readonly Pattern[] = [
  { name: "61 of /26 blocks taken at random", family: 4, pod: blocks4(6, 61, anyBlock) },
  { name: "110 of /24 blocks taken at random", family: 4, pod: blocks4(8, 110, anyNode) },
  { name: "at random in a /16", family: 4, pod: (n) => numberToIpv4(ipv4ToNumber("10.64.0.0") + anyPod(n)) },
];

/** Of the numbers of Pods on each address: standard deviation, and the farthest, as parts of the mean. */
export function deviation(
  owners: readonly string[],
  pool: readonly string[],
  pods: readonly number[],
): { readonly standard: number; readonly farthest: number } {
  const counts = new Map(pool.map((address) => [address, 0]));
  for (const share of pods) counts.set(owners[share]!, counts.get(owners[share]!)! + 1);
  const mean = pods.length / pool.length;
  const differences = [...counts.values()].map((count) => Math.abs(count - mean) / mean);
  const squares = differences.reduce((sum, each) => sum + each * each, 0);
  return { standard: Math.sqrt(squares / pool.length), farthest: Math.max(...differences) };
}
