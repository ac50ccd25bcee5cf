/**
 * Addresses of both families have one form in the tables: 16 bytes in wire order as two u64, IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 §2.5.5.2). `lo` holds the first eight bytes, `hi` the last eight, as loaded little-endian.
 */

/** `hi` of an IPv4 address given in wire order; its `lo` is 0. */
// @ts-ignore: decorator
@inline
export function mappedHi(addressBE: u32): u64 {
  return (<u64>addressBE << 32) | 0xffff0000;
}

/** The IPv4 address (wire order) of a mapped address. */
// @ts-ignore: decorator
@inline
export function mappedBE(hi: u64): u32 {
  return <u32>(hi >> 32);
}

/** Unicast destinations that may leave the cluster; host order. RFC 6890: 0/8, 127/8, 169.254/16, 224/3 may not. */
export function isForwardable4(address: u32): bool {
  const top = address >> 24;
  return top != 0 && top != 127 && top < 224 && address >> 16 != 0xa9fe;
}

/** An IPv6 header with an address of ::ffff:0:0/96 would be taken for IPv4 in the tables. */
// @ts-ignore: decorator
@inline
export function isMapped(lo: u64, hi: u64): bool {
  return lo == 0 && (hi & 0xffffffff) == 0xffff0000;
}

/** As isForwardable4: not ::/8 (unspecified, loopback) but for NAT64 (64:ff9b::), not fe80::/10, not ff00::/8. */
export function isForwardable6(lo: u64): bool {
  const first = <u32>(lo & 0xff);
  if (first == 0) return <u32>lo == 0x9bff6400;
  if (first == 0xff) return false;
  return !(first == 0xfe && (lo & 0xc000) == 0x8000);
}
