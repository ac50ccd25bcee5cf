/**
 * Internet checksum arithmetic (RFC 1071, RFC 1624). Everything stays in wire order as loaded little-endian:
 * one's-complement sums don't depend on the byte order as long as it is the same throughout.
 */

/** Any sum of 16-bit words → 16 bits. */
// @ts-ignore: decorator
@inline
export function fold(sum: u64): u32 {
  let s: u64 = (sum >> 32) + (sum & 0xffffffff);
  s = (s >> 16) + (s & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return <u32>s;
}

/** As fold, of a sum below 2³¹. */
// @ts-ignore: decorator
@inline
export function fold32(sum: u32): u32 {
  const s = (sum >> 16) + (sum & 0xffff);
  return (s >> 16) + (s & 0xffff);
}

/** The one's-complement negative of a folded sum. */
// @ts-ignore: decorator
@inline
export function negate(sum: u32): u32 {
  return sum ^ 0xffff;
}

/** RFC 1624 eqn 3: the checksum field after the covered words changed by `delta`, the sum of some folded ones. */
// @ts-ignore: decorator
@inline
export function adjust(checksum: u32, delta: u32): u32 {
  return fold32((checksum ^ 0xffff) + delta) ^ 0xffff;
}

/** Folded sum of the 16 bytes of an address. */
// @ts-ignore: decorator
@inline
export function sumAddress(lo: u64, hi: u64): u32 {
  return fold((lo & 0xffffffff) + (lo >> 32) + (hi & 0xffffffff) + (hi >> 32));
}

// @ts-ignore: decorator
@inline
export function sum32(word: u32): u32 {
  return fold(<u64>word);
}

/** Unfolded sum over `length` bytes; an odd last byte is padded with zero. */
export function sumBytes(p: usize, length: u32): u64 {
  let sum: u64 = 0;
  const end = p + length;
  while (p + 4 <= end) {
    sum += load<u32>(p);
    p += 4;
  }
  if (p + 2 <= end) {
    sum += load<u16>(p);
    p += 2;
  }
  if (p < end) sum += load<u8>(p);
  return sum;
}

/** RFC 8200 §8.1: the part of the IPv6 pseudo-header that is not an address. */
// @ts-ignore: decorator
@inline
export function sumPseudo(length: u32, protocol: u32): u32 {
  return fold(<u64>bswap<u16>(<u16>length) + <u64>bswap<u16>(<u16>protocol));
}
