/** What can be the IPv6 host of a mapping: an address that packets can be sent to beyond this link. */
const excluded: readonly (readonly [prefix: readonly number[], bits: number])[] = [
  [[], 96], // :: unspecified, ::1 loopback, IPv4-compatible (RFC 4291 §2.5.5.1: deprecated)
  [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 96], // ::ffff:0:0/96 IPv4-mapped: RFC 6147 §5.1.4, the same danger here
  [[0xfe, 0x80], 10], // link-local
  [[0xff], 8], // multicast
];

/** `address`: 16 bytes in wire order. */
export function isRemoteHost(address: Uint8Array): boolean {
  return !excluded.some(([prefix, bits]) => hasPrefix(address, prefix, bits));
}

/** Both in wire order; octets that `prefix` lacks are zero. */
export function hasPrefix(address: Uint8Array, prefix: ArrayLike<number>, bits: number): boolean {
  for (let index = 0; index * 8 < bits; index++) {
    const mask = 0xff00 >>> Math.min(8, bits - index * 8);
    if ((((address[index] ?? 0) ^ (prefix[index] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}
