/**
 * The NAT64 prefix (RFC 6146, RFC 6052): what Pods send to PREFIX::a.b.c.d is for the IPv4 host a.b.c.d. Sessions know
 * that host by its IPv4 address alone; the address that the Pod uses is made of it and the prefix in force.
 */
import { mappedHi } from "./address";
import { embeddedHi, embeddedLo, extractedBE } from "./rfc6052";

/** 0 = no NAT64. */
let length: u32 = 0;
let prefixLo: u64 = 0;
let prefixHi: u64 = 0;
/** All bits but those of the IPv4 address. */
let maskLo: u64 = 0;
let maskHi: u64 = 0;

/** The prefix in force from here on, `bits` of it (0 = none). → whether it is another one than before. */
export function setNat64(lo: u64, hi: u64, bits: u32): bool {
  if (bits == length && lo == prefixLo && hi == prefixHi) return false;
  length = bits;
  prefixLo = lo;
  prefixHi = hi;
  maskLo = ~embeddedLo(0, bits, 0xffffffff);
  maskHi = ~embeddedHi(0, bits, 0xffffffff);
  return true;
}

/** There is a prefix. */
export function hasNat64(): bool {
  return length != 0;
}

/** A NAT64 address: prefix, and zero in every bit that is neither prefix nor IPv4 address. */
// @ts-ignore: decorator
@inline
export function isNat64(lo: u64, hi: u64): bool {
  return length != 0 && (lo & maskLo) == prefixLo && (hi & maskHi) == prefixHi;
}

/** Within the prefix, whatever stands behind it. */
export function isInNat64Prefix(lo: u64, hi: u64): bool {
  if (length == 96) return isNat64(lo, hi);
  return length != 0 && bswap<u64>(lo ^ prefixLo) >> (64 - length) == 0;
}

/** `hi` of the IPv4 host that a NAT64 address stands for; its `lo` is 0. */
// @ts-ignore: decorator
@inline
export function nat64Host(lo: u64, hi: u64): u64 {
  return mappedHi(extractedBE(lo, hi, length));
}

/** The Pods' address of an IPv4 host (wire order). */
// @ts-ignore: decorator
@inline
export function nat64Lo(addressBE: u32): u64 {
  return embeddedLo(prefixLo, length, addressBE);
}

// @ts-ignore: decorator
@inline
export function nat64Hi(addressBE: u32): u64 {
  return embeddedHi(prefixHi, length, addressBE);
}

/** RFC 6052 §3.1: the well-known prefix, 64:ff9b::/96, must not stand for IPv4 addresses that aren't global. */
export function mayRepresent(address: u32): bool {
  const wellKnown = length == 96 && prefixLo == 0x9bff6400 && prefixHi == 0;
  return !wellKnown || isGlobal4(address);
}

/** Host order. RFC 5735 §3, RFC 6598; what no packet goes to anyway is isForwardable4's business. */
function isGlobal4(address: u32): bool {
  const top16 = address >> 16;
  switch (address >> 8) {
    case 0xc00000:
    case 0xc00002:
    case 0xc05863:
    case 0xc63364:
    case 0xcb0071:
      return false;
  }
  if (address >> 24 == 10 || top16 == 0xc0a8) return false;
  // 100.64/10, 172.16/12, 198.18/15
  return top16 >> 6 != 0x191 && top16 >> 4 != 0xac1 && top16 >> 1 != 0x6309;
}
