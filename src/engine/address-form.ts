import { bytesToIpv6, type Cidr, ipv4ToNumber, ipv6ToBytes, isIpv4 } from "../addresses.ts";

/** The one form that the engine's tables have for addresses: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
export function mappedBytes(address: string): Uint8Array {
  if (!isIpv4(address)) return ipv6ToBytes(address);
  const bytes = new Uint8Array(16).fill(0xff, 10, 12);
  new DataView(bytes.buffer).setUint32(12, ipv4ToNumber(address));
  return bytes;
}

/** The text of such 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  const mapped =
    bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  return mapped ? bytes.subarray(12).join(".") : bytesToIpv6(bytes);
}

/** A prefix as 16 bytes of network and of mask; an IPv4 prefix is one inside ::ffff:0:0/96. */
export function engineBytes(cidr: Cidr): { network: Uint8Array; mask: Uint8Array } {
  const length = cidr.family === 4 ? cidr.prefixLength + 96 : cidr.prefixLength;
  const mask = Uint8Array.from({ length: 16 }, (_, index) => {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    return (0xff << (8 - kept)) & 0xff;
  });
  return { network: mappedBytes(cidr.network), mask };
}
