/**
 * Addresses without state: explicit address mappings (RFC 7757) by longest prefix, and an IPv6 prefix that holds IPv4
 * addresses (RFC 6052). Addresses as address.ts forms them; bit 0 is the first on the wire.
 */
import { mappedHi } from "./address";
import { embeddedHi, embeddedLo, extractedBE } from "./rfc6052";

@unmanaged
@final
export class Eam {
  /** Network of the IPv6 prefix. */
  lo: u64;
  hi: u64;
  /** Network of the IPv4 prefix, wire order. */
  v4BE: u32;
  length4: u32;
  length6: u32;
  reserved: u32;
}
if (offsetof<Eam>() != 32) ERROR("Eam must be 32 bytes");

/** The host writes the table, ordered by falling length4; a second order serves the other direction. */
export const MAX_EAMS: u32 = 4096;
const TABLE = memory.data(32 * 4096, 16);
const BY_6 = memory.data(2 * 4096, 16);

@unmanaged
@final
export class Stateless {
  /** 0 = sessions decide (stateful). */
  enabled: u32;
  eams: u32;
  /** Length of the RFC 6052 prefix; 0 = none. */
  pool6Length: u32;
  reserved: u32;
  pool6Lo: u64;
  pool6Hi: u64;
}
const RECORD = memory.data(32, 8);
if (offsetof<Stateless>() != 32) ERROR("Stateless must be 32 bytes");

export const stateless: Stateless = changetype<Stateless>(RECORD);
export const eamTable: usize = TABLE;
/** Indices into the table, ordered by falling length6. */
export const eamOrder6: usize = BY_6;

/** What map46 and map64 found. */
export let mappedLo: u64 = 0;
export let mappedAddressHi: u64 = 0;

// @ts-ignore: decorator
@inline
function mask32(length: u32): u32 {
  return length == 0 ? 0 : <u32>0xffffffff << (32 - length);
}

/** The first `length` bits of two addresses are equal. */
function samePrefix(lo: u64, hi: u64, otherLo: u64, otherHi: u64, length: u32): bool {
  const first = bswap<u64>(lo ^ otherLo);
  const second = bswap<u64>(hi ^ otherHi);
  if (length <= 64) return length == 0 || first >> (64 - length) == 0;
  return first == 0 && second >> (128 - length) == 0;
}

/** IPv4 (wire order) → IPv6; false when neither a mapping nor the prefix covers it. */
export function map46(addressBE: u32): bool {
  const address = bswap<u32>(addressBE);
  for (let i: u32 = 0; i < stateless.eams; i++) {
    const e = changetype<Eam>(TABLE + ((<usize>i) << 5));
    if (((address ^ bswap<u32>(e.v4BE)) & mask32(e.length4)) != 0) continue;
    // RFC 7757 §3.3.1: the suffix follows the IPv6 prefix, the rest is zero.
    const suffixBits = 32 - e.length4;
    mappedLo = e.lo;
    mappedAddressHi = e.hi;
    if (suffixBits > 0) putBits(address & ~mask32(e.length4), suffixBits, e.length6);
    return true;
  }
  return stateless.pool6Length != 0 && embed(addressBE);
}

/** ORs the low `count` bits of `value` into the mapped address, at bit `at`. */
function putBits(value: u32, count: u32, at: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    if (((value >> (count - 1 - i)) & 1) == 0) continue;
    const bit = at + i;
    if (bit < 64) mappedLo |= bswap<u64>(<u64>1 << (63 - bit));
    else mappedAddressHi |= bswap<u64>(<u64>1 << (127 - bit));
  }
}

function getBits(lo: u64, hi: u64, count: u32, at: u32): u32 {
  let value: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const bit = at + i;
    const word = bit < 64 ? bswap<u64>(lo) >> (63 - bit) : bswap<u64>(hi) >> (127 - bit);
    value = (value << 1) | (<u32>word & 1);
  }
  return value;
}

/** IPv6 → IPv4; false when neither a mapping nor the prefix covers it. The result is in mappedAddressHi. */
export function map64(lo: u64, hi: u64): bool {
  for (let i: u32 = 0; i < stateless.eams; i++) {
    const e = changetype<Eam>(TABLE + (<usize>load<u16>(BY_6 + (i << 1)) << 5));
    if (!samePrefix(lo, hi, e.lo, e.hi, e.length6)) continue;
    const suffixBits = 32 - e.length4;
    const suffix = getBits(lo, hi, suffixBits, e.length6);
    mappedLo = 0;
    mappedAddressHi = mappedHi(bswap<u32>(bswap<u32>(e.v4BE) | suffix));
    return true;
  }
  return extract(lo, hi);
}

function embed(addressBE: u32): bool {
  mappedLo = embeddedLo(stateless.pool6Lo, stateless.pool6Length, addressBE);
  mappedAddressHi = embeddedHi(stateless.pool6Hi, stateless.pool6Length, addressBE);
  return true;
}

function extract(lo: u64, hi: u64): bool {
  const length = stateless.pool6Length;
  if (length == 0 || !samePrefix(lo, hi, stateless.pool6Lo, stateless.pool6Hi, length)) return false;
  const addressBE = extractedBE(lo, hi, length);
  // Other bits are zero, or the answer would come from another address than was asked.
  embed(addressBE);
  if (mappedLo != lo || mappedAddressHi != hi) return false;
  mappedLo = 0;
  mappedAddressHi = mappedHi(addressBE);
  return true;
}
