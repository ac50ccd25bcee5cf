import ipaddr from "ipaddr.js";

/** IPv4 text → number in host order (10.0.0.1 → 0x0a000001). Throws TypeError on anything else. */
export function ipv4ToNumber(text: string): number {
  if (!isIpv4(text)) throw new TypeError(`'${text}' is not an IPv4 address`);
  let sum = 0;
  let octet = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code !== 0x2e) octet = octet * 10 + code - 0x30;
    else {
      sum = sum * 256 + octet;
      octet = 0;
    }
  }
  return sum * 256 + octet;
}

/** Number in host order → dotted text. */
export function numberToIpv4(value: number): string {
  return `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** IPv6 text → 16 bytes in wire order. Throws TypeError on anything else (also on a zone, `%eth0`). */
export function ipv6ToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (!parseIpv6(text, bytes)) throw new TypeError(`'${text}' is not an IPv6 address`);
  return bytes;
}

/** 16 bytes → RFC 5952 text. */
export function bytesToIpv6(bytes: Uint8Array): string {
  const group = (index: number) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!;
  // §4.2: the longest run of two or more zero groups, the first of equal ones.
  let runStart = -1;
  let runLength = 1;
  for (let index = 0; index < 8; index++) {
    let length = 0;
    while (index + length < 8 && group(index + length) === 0) length++;
    if (length > runLength) [runStart, runLength] = [index, length];
    index += length;
  }
  let text = "";
  for (let index = 0; index < 8; index++) {
    if (index === runStart) {
      text += "::";
      index += runLength - 1;
      continue;
    }
    if (text !== "" && !text.endsWith("::")) text += ":";
    text += group(index).toString(16);
  }
  return text;
}

export function isIpv4(text: string): boolean {
  return ipv4End(text, 0) === text.length;
}

export function isIpv6(text: string): boolean {
  return parseIpv6(text, scratch);
}

/** Whether the text is this address (16 bytes), in any spelling. */
export function sameIpv6(text: string, bytes: Uint8Array): boolean {
  if (!parseIpv6(text, scratch)) return false;
  for (let index = 15; index >= 0; index--) if (scratch[index] !== bytes[index]) return false;
  return true;
}

const scratch = new Uint8Array(16);

/** Index behind the four decimal octets, without leading zeros, that begin at `start`; -1: there are none. */
function ipv4End(text: string, start: number): number {
  let at = start;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && text.charCodeAt(at++) !== 0x2e) return -1;
    const first = at;
    let value = 0;
    for (let digit = text.charCodeAt(at) - 0x30; digit >= 0 && digit <= 9; ) {
      value = value * 10 + digit;
      digit = text.charCodeAt(++at) - 0x30;
    }
    const length = at - first;
    if (length === 0 || length > 3 || value > 255 || (length > 1 && text.charCodeAt(first) === 0x30))
      return -1;
  }
  return at;
}

/** RFC 4291 §2.2, all three forms. Thousands of entries go through here at a start, and hundreds at a claim. */
function parseIpv6(text: string, bytes: Uint8Array): boolean {
  const { length } = text;
  let at = 0;
  let groups = 0;
  let gap = -1;
  if (text.charCodeAt(0) === 0x3a) {
    if (text.charCodeAt(1) !== 0x3a) return false;
    gap = 0;
    at = 2;
  }
  while (at < length) {
    if (groups === 8) return false;
    const first = at;
    let value = 0;
    for (; at < length && at - first < 5; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      value = value * 16 + digit;
    }
    if (text.charCodeAt(at) === 0x2e) {
      if (groups > 6 || ipv4End(text, first) !== length) return false;
      text
        .slice(first)
        .split(".")
        .forEach((octet, index) => {
          bytes[2 * groups + index] = Number(octet);
        });
      return expandGap(bytes, groups + 2, gap);
    }
    if (at === first || at - first > 4) return false;
    bytes[2 * groups] = value >> 8;
    bytes[2 * groups + 1] = value & 255;
    groups++;
    if (at === length) break;
    if (text.charCodeAt(at++) !== 0x3a) return false;
    if (text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return false;
      gap = groups;
      at++;
    } else if (at === length) return false;
  }
  return expandGap(bytes, groups, gap);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Moves what stands behind a `::` at group `gap` (-1: there is none) to the end. */
function expandGap(bytes: Uint8Array, groups: number, gap: number): boolean {
  if (gap < 0) return groups === 8;
  if (groups > 7) return false;
  bytes.copyWithin(16 - 2 * (groups - gap), 2 * gap, 2 * groups);
  bytes.fill(0, 2 * gap, 16 - 2 * (groups - gap));
  return true;
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
