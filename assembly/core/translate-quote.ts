/**
 * The quoted packet of an ICMP error, written anew by `quotedTarget` (RFC 7915 §4.3, §5.3): its header as §4.1 and §5.1
 * have it, but its hop limit as it was; its ports and its transport checksum.
 */
import { mappedBE } from "./address";
import { adjust, fold, sumBytes } from "./checksum";
import { FRAGMENT_NONE } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_UDP } from "./protocol";
import { quoted, quotedLength } from "./quote";
import { quotedTarget } from "./target";
import { portDelta, rewriteEcho } from "./transport";
import { MAY_FRAGMENT } from "./translate64";
import { FRAGMENT_HEADER, Fragment } from "./wire/fragment";
import { IPV4_DONT_FRAGMENT_BE, IPV4_HEADER, Ipv4 } from "./wire/ipv4";
import { IPV6_HEADER, Ipv6, NEXT_FRAGMENT } from "./wire/ipv6";

/** Bytes in front of the transport header once the quote has IP version `family`. */
export function quotedHeaders(family: u32): u32 {
  if (family == quoted.family) return <u32>(quoted.transport - quoted.ip);
  if (family == 4) return IPV4_HEADER;
  return IPV6_HEADER + (quoted.fragment != FRAGMENT_NONE ? FRAGMENT_HEADER : 0);
}

/** Writes it to `p`, cut to `room` bytes, which are at least those of its headers and eight more. → bytes written. */
export function writeQuotedPacket(p: usize, family: u32, room: u32): u32 {
  const headers = quotedHeaders(family);
  if (family == quoted.family) memory.copy(p, quoted.ip, headers);
  else if (family == 6) translateHeader46(p);
  else translateHeader64(p);
  if (family == 6) setAddresses6(p);
  else setAddresses4(p, headers);
  const length = min(quoted.transportLength, room - headers);
  const transport = p + headers;
  memory.copy(transport, quoted.transport, length);
  if (quoted.hasTransport) rewriteQuotedTransport(transport, length, family);
  return headers + length;
}

/** All but the addresses. */
function translateHeader46(p: usize): void {
  const header = Ipv6.at(p);
  const fragment = quoted.fragment != FRAGMENT_NONE;
  const protocol = <u8>(quoted.protocol == PROTOCOL_ICMP4 ? PROTOCOL_ICMP6 : quoted.protocol);
  header.versionClassFlowBE = bswap<u32>(0x60000000 | (<u32>Ipv4.at(quoted.ip).tos << 20));
  header.payloadLengthBE = bswap<u16>(<u16>(quotedLength + (fragment ? FRAGMENT_HEADER : 0)));
  header.nextHeader = fragment ? <u8>NEXT_FRAGMENT : protocol;
  header.hopLimit = <u8>quoted.hopLimit;
  if (!fragment) return;
  const extension = Fragment.at(p + IPV6_HEADER);
  extension.nextHeader = protocol;
  extension.reserved = 0;
  extension.offsetMoreBE = bswap<u16>(<u16>quoted.fragmentOffset | <u16>quoted.moreFragments);
  extension.identificationBE = bswap<u32>(quoted.identification);
}

/** All but the addresses and the checksum. */
function translateHeader64(p: usize): void {
  const header = Ipv4.at(p);
  const total = min(quotedLength + IPV4_HEADER, 0xffff);
  header.versionIhl = 0x45;
  header.tos = <u8>Ipv6.at(quoted.ip).trafficClass;
  header.totalLengthBE = bswap<u16>(<u16>total);
  if (quoted.fragment != FRAGMENT_NONE) {
    header.identificationBE = bswap<u16>(<u16>quoted.identification);
    header.flagsOffsetBE = bswap<u16>(<u16>(quoted.fragmentOffset >> 3) | (quoted.moreFragments ? 0x2000 : 0));
  } else {
    header.identificationBE = 0;
    header.flagsOffsetBE = total <= MAY_FRAGMENT ? 0 : IPV4_DONT_FRAGMENT_BE;
  }
  header.ttl = <u8>quoted.hopLimit;
  header.protocol = <u8>quoted.protocol;
}

function setAddresses6(p: usize): void {
  const header = Ipv6.at(p);
  header.sourceLo = quotedTarget.sourceLo;
  header.sourceHi = quotedTarget.sourceHi;
  header.destinationLo = quotedTarget.destinationLo;
  header.destinationHi = quotedTarget.destinationHi;
}

function setAddresses4(p: usize, length: u32): void {
  const header = Ipv4.at(p);
  header.sourceBE = mappedBE(quotedTarget.sourceHi);
  header.destinationBE = mappedBE(quotedTarget.destinationHi);
  header.checksum = 0;
  header.checksum = <u16>(fold(sumBytes(p, length)) ^ 0xffff);
}

/** `length` bytes of it are there, at least eight; its checksum may be cut off. */
function rewriteQuotedTransport(p: usize, length: u32, family: u32): void {
  const t = quotedTarget;
  if (quoted.protocol == PROTOCOL_ICMP4) {
    rewriteEcho(p, t, quoted.family, family, quotedLength);
    return;
  }
  store<u16>(p, <u16>t.sourcePortBE);
  store<u16>(p, <u16>t.destinationPortBE, 2);
  const udp = quoted.protocol == PROTOCOL_UDP;
  const field: u32 = udp ? 6 : 16;
  if (field + 2 > length) return;
  const old: u32 = load<u16>(p + field);
  // A UDP checksum of zero means 'none'.
  if (udp && old == 0) return;
  const sum = adjust(old, t.delta + portDelta(t, quoted.sourcePortBE, quoted.destinationPortBE));
  store<u16>(p + field, <u16>(udp && sum == 0 ? 0xffff : sum));
}
