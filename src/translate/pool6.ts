import { bytesToIpv6, type Cidr, ipv4ToNumber, ipv6ToBytes, parseCidr } from "../addresses.ts";

/** RFC 6052 §2.2. */
const lengths: readonly number[] = [32, 40, 48, 56, 64, 96];

/** A prefix for IPv4-embedded IPv6 addresses. Throws TypeError with a reason. */
export function parsePool6(text: string): Cidr {
  const pool6 = parseCidr(text);
  if (pool6.family !== 6 || !lengths.includes(pool6.prefixLength))
    throw new TypeError(
      `${text} is not an IPv6 prefix of a length that RFC 6052 knows (${lengths.join(", ")})`,
    );
  // RFC 6052 §2.2: bits 64 to 71 of every such address are zero.
  if (ipv6ToBytes(pool6.network)[8] !== 0)
    throw new TypeError(`bits 64 to 71 of ${text} must be zero (RFC 6052)`);
  return pool6;
}

/** The IPv6 address that stands for `address4` under the prefix. */
export function embed(pool6: Cidr, address4: string): string {
  const bytes = ipv6ToBytes(pool6.network);
  const number = ipv4ToNumber(address4);
  let at = pool6.prefixLength / 8;
  for (const shift of [24, 16, 8, 0]) {
    if (at === 8) at++;
    bytes[at++] = (number >>> shift) & 255;
  }
  return bytesToIpv6(bytes);
}
