import ipaddr from "ipaddr.js";

/** IPv4 text → number in host order (10.0.0.1 → 0x0a000001). Throws TypeError on anything else. */
export function ipv4ToNumber(text: string): number {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const octets = match?.slice(1).map(Number) ?? [];
  if (octets.length !== 4 || octets.some((octet) => octet > 255))
    throw new TypeError(`'${text}' is not an IPv4 address`);
  return octets.reduce((sum, octet) => sum * 256 + octet, 0);
}

/** Number in host order → dotted text. */
export function numberToIpv4(value: number): string {
  return `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** IPv6 text → 16 bytes in wire order. Throws TypeError on anything else (also on a zone, `%eth0`). */
export function ipv6ToBytes(text: string): Uint8Array {
  if (!isIpv6(text)) throw new TypeError(`'${text}' is not an IPv6 address`);
  // ipaddr.js takes ::a.b.c.d (IPv4-compatible, RFC 4291 §2.5.5.1) for ::ffff:a.b.c.d.
  const compatible = /^::(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (compatible !== undefined)
    return Uint8Array.from([...Array(12).fill(0), ...compatible.split(".").map(Number)]);
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
}

/** 16 bytes → RFC 5952 text. */
export function bytesToIpv6(bytes: Uint8Array): string {
  return new ipaddr.IPv6(Array.from(bytes)).toRFC5952String();
}

export function isIpv4(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text);
}

export function isIpv6(text: string): boolean {
  return !text.includes("%") && ipaddr.IPv6.isValid(text);
}

export interface Cidr {
  /** Network address as text, host bits cleared. */
  readonly network: string;
  readonly prefixLength: number;
  readonly family: 4 | 6;
}

/** `10.1.2.3/24` → network 10.1.2.0, 24. A bare address is a host prefix. Throws TypeError with a reason. */
export function parseCidr(text: string): Cidr {
  const [address = "", length, ...rest] = text.split("/");
  const family = isIpv4(address) ? 4 : isIpv6(address) ? 6 : undefined;
  const bits = family === 4 ? 32 : 128;
  const prefixLength = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (family === undefined || rest.length > 0 || !(prefixLength <= bits))
    throw new TypeError(`'${text}' is not an address prefix such as 10.0.0.0/24 or 2001:db8::/64`);
  const bytes = ipaddr.parse(address).toByteArray();
  const network = bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefixLength - index * 8));
    return byte & ((0xff << (8 - kept)) & 0xff);
  });
  return {
    network: family === 4 ? network.join(".") : bytesToIpv6(Uint8Array.from(network)),
    prefixLength,
    family,
  };
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.network}/${cidr.prefixLength}`;
}

/** In canonical text, each once, in the order given. Throws TypeError as {@link parseCidr}. */
export function canonicalCidrs(texts: readonly string[]): string[] {
  return [...new Set(texts.map((text) => formatCidr(parseCidr(text))))];
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  if (cidr.family === 4 ? !isIpv4(address) : !isIpv6(address)) return false;
  return ipaddr.parse(address).match([ipaddr.parse(cidr.network), cidr.prefixLength] as never);
}
