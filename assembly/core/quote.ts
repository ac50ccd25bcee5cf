/**
 * The packet that an ICMP error quotes (RFC 792, RFC 4443 §2.4 c): enough of it to find its session. It may be cut
 * anywhere behind the first eight bytes of its transport header, and extensions may follow it (RFC 4884).
 *
 * RFC 5508 REQ-3: the checksum of the error is checked, the transport checksum in the quote is not. The header checksum
 * of a quoted IPv4 packet isn't either (deviation from REQ-3 a): routers exist that count the TTL down before they quote.
 */
import { mappedHi } from "./address";
import { fold, sumAddress, sumBytes, sumPseudo } from "./checksum";
import { FRAGMENT_FIRST, FRAGMENT_LATER, FRAGMENT_NONE, Packet, packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { DropReason } from "./verdict";
import { FRAGMENT_HEADER, Fragment } from "./wire/fragment";
import {
  ICMP4_ECHO,
  ICMP4_ECHO_REPLY,
  ICMP6_ECHO,
  ICMP6_ECHO_REPLY,
  ICMP6_TIME_EXCEEDED,
  ICMP6_UNREACHABLE,
  ICMP_HEADER,
  Icmp,
} from "./wire/icmp";
import { IPV4_HEADER, Ipv4 } from "./wire/ipv4";
import {
  IPV6_HEADER,
  Ipv6,
  NEXT_DESTINATION_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from "./wire/ipv6";

const RECORD = memory.data(96, 16);
/** transportLength is what is quoted of it; quotedLength what its IP header told. */
export const quoted: Packet = changetype<Packet>(RECORD);
/** Bytes from the quoted transport header to the end of the original packet. */
export let quotedLength: u32 = 0;
/** RFC 4884 extensions behind the quote; equal when there are none. */
export let extensionStart: usize = 0;
export let extensionEnd: usize = 0;

/** RFC 4884 §4.2: a quote before extensions has at least so many bytes. */
export const EXTENDED_QUOTE_MIN: u32 = 128;
/** Of every protocol's header that is quoted whole (RFC 792). */
const TRANSPORT_MIN: u32 = 8;
/** IPv6 headers beyond this leave no room for the transport header in an error of 1280 bytes. */
const QUOTED_HEADERS_MAX: u32 = 1280 - IPV6_HEADER - ICMP_HEADER - TRANSPORT_MIN;

/** Reads the quote of the ICMP error in hand. Ports are 0 where it has none (later fragments, other protocols). */
export function parseQuote(): DropReason {
  if (!isIntact()) return DropReason.ICMP_QUOTE_INVALID;
  const message = packet.transport;
  const ip = message + ICMP_HEADER;
  let end = message + packet.transportLength;
  extensionStart = end;
  extensionEnd = end;
  const told = toldLength(message);
  if (told >= EXTENDED_QUOTE_MIN && ip + told < end) {
    extensionStart = ip + told;
    end = extensionStart;
  }
  quoted.ip = ip;
  quoted.family = packet.family;
  quoted.fragment = FRAGMENT_NONE;
  quoted.fragmentOffset = 0;
  quoted.moreFragments = false;
  const ok = packet.family == 4 ? parse4(ip, end) : parse6(ip, end);
  return ok ? DropReason.NONE : DropReason.ICMP_QUOTE_INVALID;
}

/** The error is written anew with a right checksum: a broken one must not be mended by that. */
function isIntact(): bool {
  let sum = sumBytes(packet.transport, packet.transportLength);
  if (packet.family == 6) {
    sum += sumAddress(packet.sourceLo, packet.sourceHi);
    sum += sumAddress(packet.destinationLo, packet.destinationHi);
    sum += sumPseudo(packet.transportLength, PROTOCOL_ICMP6);
  }
  return fold(sum) == 0xffff;
}

/** RFC 4884 length attribute in bytes: 32-bit words in ICMPv4, 64-bit words in ICMPv6; 0 where the type has none. */
function toldLength(message: usize): u32 {
  if (packet.family == 4) return <u32>load<u8>(message, 5) << 2;
  return hasLengthAttribute(message, 6) ? <u32>load<u8>(message, 4) << 3 : 0;
}

/** RFC 4884 §4.1–4.3: each ICMPv4 error has it (of those that are translated), Packet Too Big and Parameter Problem don't. */
export function hasLengthAttribute(message: usize, family: u32): bool {
  const type: u32 = Icmp.at(message).type;
  return family == 4 || type == ICMP6_UNREACHABLE || type == ICMP6_TIME_EXCEEDED;
}

function parse4(ip: usize, end: usize): bool {
  if (ip + IPV4_HEADER > end) return false;
  const header = Ipv4.at(ip);
  const headerLength = header.headerLength;
  const total = header.totalLength;
  if (header.versionIhl >> 4 != 4 || headerLength < IPV4_HEADER || total < headerLength) return false;
  quoted.sourceLo = 0;
  quoted.sourceHi = mappedHi(header.sourceBE);
  quoted.destinationLo = 0;
  quoted.destinationHi = mappedHi(header.destinationBE);
  quoted.hopLimit = header.ttl;
  quoted.identification = bswap<u16>(header.identificationBE);
  if (header.isFragment) {
    const flagsOffset: u32 = bswap<u16>(header.flagsOffsetBE);
    noteFragment((flagsOffset & 0x1fff) << 3, (flagsOffset & 0x2000) != 0);
  }
  quotedLength = total - headerLength;
  const protocol: u32 = header.protocol;
  if (protocol == PROTOCOL_ICMP6) return false;
  return parseTransport(ip + headerLength, end, protocol, ICMP4_ECHO, ICMP4_ECHO_REPLY);
}

function noteFragment(offset: u32, more: bool): void {
  quoted.fragment = offset == 0 ? FRAGMENT_FIRST : FRAGMENT_LATER;
  quoted.fragmentOffset = offset;
  quoted.moreFragments = more;
}

function parse6(ip: usize, end: usize): bool {
  if (ip + IPV6_HEADER > end) return false;
  const header = Ipv6.at(ip);
  if (load<u8>(ip) >> 4 != 6) return false;
  quoted.sourceLo = header.sourceLo;
  quoted.sourceHi = header.sourceHi;
  quoted.destinationLo = header.destinationLo;
  quoted.destinationHi = header.destinationHi;
  quoted.hopLimit = header.hopLimit;
  quoted.identification = 0;
  let p = ip + IPV6_HEADER;
  let next: u32 = header.nextHeader;
  while (next == NEXT_HOP_BY_HOP || next == NEXT_DESTINATION_OPTIONS || next == NEXT_ROUTING) {
    if (p + 8 > end) return false;
    next = load<u8>(p);
    p += (<u32>load<u8>(p, 1) + 1) << 3;
  }
  if (next == NEXT_FRAGMENT) {
    if (p + FRAGMENT_HEADER > end) return false;
    const fragment = Fragment.at(p);
    const offsetMore: u32 = bswap<u16>(fragment.offsetMoreBE);
    // RFC 6946: an 'atomic' fragment is the whole packet.
    if ((offsetMore & 0xfff9) != 0) noteFragment(offsetMore & 0xfff8, (offsetMore & 1) != 0);
    quoted.identification = bswap<u32>(fragment.identificationBE);
    next = fragment.nextHeader;
    p += FRAGMENT_HEADER;
  }
  const headers = <u32>(p - ip);
  if (headers > QUOTED_HEADERS_MAX || header.payloadLength + IPV6_HEADER < headers) return false;
  quotedLength = header.payloadLength + IPV6_HEADER - headers;
  if (next == PROTOCOL_ICMP4) return false;
  return parseTransport(p, end, next == PROTOCOL_ICMP6 ? PROTOCOL_ICMP4 : next, ICMP6_ECHO, ICMP6_ECHO_REPLY);
}

function parseTransport(p: usize, end: usize, protocol: u32, echo: u32, echoReply: u32): bool {
  if (p > end) return false;
  quoted.transport = p;
  // Padding behind the original packet isn't part of it.
  quoted.transportLength = min(<u32>(end - p), quotedLength);
  quoted.protocol = protocol;
  quoted.sourcePortBE = 0;
  quoted.destinationPortBE = 0;
  quoted.hasTransport = false;
  if (quoted.fragment == FRAGMENT_LATER) return true;
  if (quoted.transportLength < TRANSPORT_MIN) return false;
  if (protocol == PROTOCOL_ICMP4) {
    const header = Icmp.at(p);
    const type: u32 = header.type;
    // There are no errors about errors (RFC 1122 §3.2.2, RFC 4443 §2.4 e).
    if (type != echo && type != echoReply) return false;
    quoted.sourcePortBE = header.identifierBE;
    quoted.destinationPortBE = header.identifierBE;
  } else if (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) {
    quoted.sourcePortBE = load<u16>(p);
    quoted.destinationPortBE = load<u16>(p, 2);
  } else {
    return true;
  }
  quoted.hasTransport = true;
  return true;
}
