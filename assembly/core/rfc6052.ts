/**
 * IPv4 addresses within an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits (RFC 6052 §2.2). The address follows the prefix
 * but for bits 64 to 71, which are zero, as is everything behind it. Addresses as address.ts forms them; shifts go up
 * because the first byte on the wire is the lowest.
 */

/** `lo` of `addressBE` behind a prefix of `length` bits. */
// @ts-ignore: decorator
@inline
export function embeddedLo(prefixLo: u64, length: u32, addressBE: u32): u64 {
  return length < 64 ? prefixLo | (<u64>addressBE << length) : prefixLo;
}

// @ts-ignore: decorator
@inline
export function embeddedHi(prefixHi: u64, length: u32, addressBE: u32): u64 {
  if (length == 96) return (prefixHi & 0xffffffff) | (<u64>addressBE << 32);
  return (<u64>addressBE >> (64 - length)) << 8;
}

/** What stands where an IPv4 address would, wire order. */
// @ts-ignore: decorator
@inline
export function extractedBE(lo: u64, hi: u64, length: u32): u32 {
  if (length == 96) return <u32>(hi >> 32);
  const second = <u32>((hi >> 8) << (64 - length));
  return length < 64 ? <u32>(lo >> length) | second : second;
}
