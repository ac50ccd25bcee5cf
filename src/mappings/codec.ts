import { bytesToIpv6, ipv6ToBytes, isIpv4, sameIpv6 } from "../addresses.ts";
import { isRemoteHost } from "../remote-host.ts";

/** ha_unit `0`, then bin_id, as the specification's table "DB parameters" prints them; the NAT IPv4 follows. */
export const keyPrefix = "0073c3b6eft_dns46";

/** What we write for gen_id (4 digits) and user flags (16); the timeout (8) stands between. Specification, same table. */
const ours = { generation: "0001", flags: "0000000000000002" };

const headerLength = 28;
/** Stands in for the value of a key of another type, which GET refuses: never a mapping, so the address is occupied. */
export const notText = "(not a string)";

const valueForm = /^([0-9a-f]{4})([0-9a-f]{8})([0-9a-f]{16})([0-9a-f:.]{2,45})$/i;

/** A decoded entry; the first three are the hex digits as stored (we accept any and never rewrite them). */
export interface MappingValue {
  readonly generation: string;
  readonly timeout: string;
  readonly flags: string;
  /** RFC 5952 text. */
  readonly host6: string;
}

type Header = Pick<MappingValue, "generation" | "flags">;

/** `10.144.175.220` → `0073c3b6eft_dns4610.144.175.220`. Throws TypeError unless `nat4` is plain dotted text. */
export function keyOf(nat4: string): string {
  if (!isIpv4(nat4)) throw new TypeError(`'${nat4}' is not an IPv4 address`);
  return keyPrefix + nat4;
}

/** The NAT IPv4 of a key; undefined for any key that {@link keyOf} would not have made. */
export function nat4OfKey(key: string): string | undefined {
  const nat4 = key.slice(keyPrefix.length);
  return key.startsWith(keyPrefix) && isIpv4(nat4) ? nat4 : undefined;
}

/**
 * The value of a new entry. `leaseS` is its timeout in whole seconds, below 2³²; 0: indefinite. `header`: gen_id and user
 * flags other than ours, as they were stored. Throws TypeError when `host6` cannot be a mapping's host (see {@link canonicalHost6}).
 */
export function encodeValue(host6: string, leaseS = 0, header: Header = ours): string {
  const canonical = canonicalHost6(host6);
  if (canonical === undefined) throw new TypeError(`'${host6}' is not the IPv6 address of a remote host`);
  return header.generation + leaseS.toString(16).padStart(8, "0") + header.flags + canonical;
}

/** Whether gen_id and user flags are what {@link encodeValue} writes by itself. */
export function isOurHeader({ generation, flags }: Header): boolean {
  return generation === ours.generation && flags === ours.flags;
}

/** Whether a stored text maps to these 16 bytes, however it spells them; much cheaper than decoding it. */
export function isValueOf(text: string, host: Uint8Array): boolean {
  return sameIpv6(text.slice(headerLength), host) && valueForm.test(text);
}

/** The timeout in seconds; 0: indefinite. */
export function leaseOf(value: MappingValue): number {
  return Number.parseInt(value.timeout, 16);
}

/** Undefined when the text is not a mapping. */
export function decodeValue(text: string): MappingValue | undefined {
  const [, generation, timeout, flags, address] = valueForm.exec(text) ?? [];
  if (generation === undefined || timeout === undefined || flags === undefined || address === undefined)
    return undefined;
  const host6 = canonicalHost6(address);
  return host6 === undefined ? undefined : { generation, timeout, flags, host6 };
}

/**
 * RFC 5952 text of an IPv6 address in any spelling (RFC 4291 §2.2); undefined when it is no address, has a zone, or
 * cannot be a remote host: unspecified, loopback, IPv4-compatible (deprecated), IPv4-mapped, link-local, multicast.
 */
export function canonicalHost6(text: string): string | undefined {
  let bytes: Uint8Array;
  try {
    bytes = ipv6ToBytes(text);
  } catch {
    return undefined;
  }
  return isRemoteHost(bytes) ? bytesToIpv6(bytes) : undefined;
}
