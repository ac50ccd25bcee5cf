/**
 * Deterministic port blocks (RFC 7422): which Pod has which ports of which SNAT address, by computation alone. The engine
 * does the same sum (assembly/core/port-blocks.ts).
 *
 * Positions: the addresses of the internal networks are counted off in the order given, IPv4 networks before IPv6 ones;
 * an address counts where the first network that contains it stands. Blocks: those of the first SNAT address of the
 * outer family, then the second's, …, each with as many as the address that has fewest. Block n is position n's.
 */
import { bytesToIpv6, type Cidr, isIpv4, numberToIpv4, parseCidr } from "../addresses.ts";
import { engineBytes, mappedBytes } from "./address-form.ts";
import { portBlockSizes } from "./behaviour.ts";
import type { PoolEntry } from "./settings.ts";

export interface BlockPlan {
  /** Ports of a block. */
  readonly size: number;
  readonly nets: readonly BlockNet[];
  /** By family of the SNAT address. */
  readonly 4: FamilyBlocks;
  readonly 6: FamilyBlocks;
}

export interface BlockNet {
  readonly cidr: Cidr;
  /** Position of the network's own address. */
  readonly first: bigint;
}

export interface FamilyBlocks {
  readonly entries: readonly PoolEntry[];
  readonly perAddress: number;
}

/** Ports of an address, inclusive. */
export interface Block {
  readonly address: string;
  readonly first: number;
  readonly last: number;
}

/** `pool` is that of one worker: each counts off its own. */
export function planBlocks(
  size: number,
  internalNets: readonly string[],
  pool: readonly PoolEntry[],
): BlockPlan {
  const cidrs = internalNets.map(parseCidr);
  let next = 0n;
  const nets = [4, 6].flatMap((family) =>
    cidrs
      .filter((cidr) => cidr.family === family)
      .map((cidr) => {
        const first = next;
        next += addressesOf(cidr);
        return { cidr, first };
      }),
  );
  const of = (four: boolean): FamilyBlocks => {
    const entries = pool.filter(({ address }) => isIpv4(address) === four);
    const each = entries.map(({ firstPort, lastPort }) => Math.floor((lastPort - firstPort + 1) / size));
    return { entries, perAddress: entries.length === 0 ? 0 : Math.min(...each) };
  };
  return { size, nets, 4: of(true), 6: of(false) };
}

function addressesOf({ family, prefixLength }: Cidr): bigint {
  return 1n << BigInt((family === 4 ? 32 : 128) - prefixLength);
}

/** How many positions there are: those of the IPv4 networks, or of all. */
export function countPositions(plan: BlockPlan, withIpv6: boolean): bigint {
  return plan.nets
    .filter(({ cidr }) => withIpv6 || cidr.family === 4)
    .reduce((sum, { cidr }) => sum + addressesOf(cidr), 0n);
}

export function countBlocks({ entries, perAddress }: FamilyBlocks): number {
  return entries.length * perAddress;
}

/** undefined: the address lies in no internal network. */
export function positionOf(plan: BlockPlan, address: string): bigint | undefined {
  const value = toNumber(mappedBytes(address));
  for (const { cidr, first } of plan.nets) {
    const { network, mask } = engineBytes(cidr);
    const [start, kept] = [toNumber(network), toNumber(mask)];
    if ((value & kept) === start) return first + (value - start);
  }
  return undefined;
}

/** The address at a position; undefined: there is none, or it counts at another one. */
export function addressAt(plan: BlockPlan, position: bigint): string | undefined {
  const net = plan.nets.findLast(({ first }) => first <= position);
  if (net === undefined || position - net.first >= addressesOf(net.cidr)) return undefined;
  const value = toNumber(mappedBytes(net.cidr.network)) + (position - net.first);
  const address =
    net.cidr.family === 4 ? numberToIpv4(Number(value & 0xffffffffn)) : bytesToIpv6(toBytes(value));
  return positionOf(plan, address) === position ? address : undefined;
}

/** Block `number` of a family; undefined beyond the last one. */
export function blockAt({ size, ...plan }: BlockPlan, family: 4 | 6, number: bigint): Block | undefined {
  const { entries, perAddress } = plan[family];
  if (number >= BigInt(countBlocks(plan[family]))) return undefined;
  const entry = entries[Math.floor(Number(number) / perAddress)]!;
  const first = entry.firstPort + (Number(number) % perAddress) * size;
  return { address: entry.address, first, last: first + size - 1 };
}

/** The number of the block that an address and port belong to; undefined: no block has them. */
export function blockNumberOf(plan: BlockPlan, address: string, port: number): bigint | undefined {
  const { entries, perAddress } = plan[isIpv4(address) ? 4 : 6];
  const same = toNumber(mappedBytes(address));
  const rank = entries.findIndex((entry) => toNumber(mappedBytes(entry.address)) === same);
  const entry = entries[rank];
  if (entry === undefined || port < entry.firstPort) return undefined;
  const within = Math.floor((port - entry.firstPort) / plan.size);
  return within < perAddress ? BigInt(rank * perAddress + within) : undefined;
}

/** The largest size of which there are enough blocks for so many positions; undefined: none is small enough. */
export function largestFit({ entries }: FamilyBlocks, positions: bigint): number | undefined {
  for (let size: number = portBlockSizes.largest; size >= portBlockSizes.smallest; size /= 2) {
    const each = entries.map(({ firstPort, lastPort }) => Math.floor((lastPort - firstPort + 1) / size));
    if (BigInt(entries.length * Math.min(...each)) >= positions) return size;
  }
  return undefined;
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function toBytes(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, index) => Number((value >> BigInt(8 * (15 - index))) & 0xffn));
}
