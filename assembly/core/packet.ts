/**
 * Parses one IP packet: every length is checked here once; whoever holds a parsed packet uses unchecked accessors.
 * One record, reused for each packet.
 */
import { isMapped, mappedHi } from "./address";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { DropReason } from "./verdict";
import {
  ICMP4_ECHO,
  ICMP4_ECHO_REPLY,
  ICMP4_PARAMETER_PROBLEM,
  ICMP4_TIME_EXCEEDED,
  ICMP4_UNREACHABLE,
  ICMP6_ECHO,
  ICMP6_ECHO_REPLY,
  ICMP6_PARAMETER_PROBLEM,
  ICMP6_UNREACHABLE,
  ICMP_HEADER,
  Icmp,
} from "./wire/icmp";
import { FRAGMENT_HEADER, Fragment } from "./wire/fragment";
import { IPV4_HEADER, Ipv4 } from "./wire/ipv4";
import {
  IPV6_HEADER,
  Ipv6,
  NEXT_DESTINATION_OPTIONS,
  NEXT_FRAGMENT,
  NEXT_HOP_BY_HOP,
  NEXT_ROUTING,
} from "./wire/ipv6";
import { TCP_FIN, TCP_HEADER, TCP_RST, TCP_SYN, Tcp } from "./wire/tcp";
import { UDP_HEADER, Udp } from "./wire/udp";

@unmanaged
@final
export class Packet {
  sourceLo: u64;
  sourceHi: u64;
  destinationLo: u64;
  destinationHi: u64;
  /** Address of the IP header. */
  ip: usize;
  /** Address of the transport header. */
  transport: usize;
  /** Bytes from the transport header to the end of the packet. */
  transportLength: u32;
  /** 4 or 6. */
  family: u32;
  /** Transport protocol; PROTOCOL_ICMP4 for ICMP of either family, so that a session has one number. */
  protocol: u32;
  /** Wire order. For ICMP echo both are the identifier. */
  sourcePortBE: u32;
  destinationPortBE: u32;
  /** TTL or hop limit as received. */
  hopLimit: u32;
  tcpFlags: u32;
  /** FRAGMENT_NONE, …_FIRST or …_LATER; a later one has no transport header, ports are 0. */
  fragment: u32;
  /** Bytes; host order. */
  fragmentOffset: u32;
  /** Of the whole packet, host order: 16 bits in IPv4, 32 in an IPv6 fragment header. */
  identification: u32;
  /** Offset of what asks for a route by the sender's wish, which isn't followed: an option, segments left; 0 = none. */
  routeField: u32;
  /** ICMP echo request (not reply). */
  echoRequest: bool;
  /** ICMP error: what counts is the packet that it quotes (quote.ts). */
  icmpError: bool;
  /** Its destination is one of our pool addresses. */
  fromOutside: bool;
  moreFragments: bool;
  /** An IPv6 fragment header is there, be it that of an 'atomic' fragment (RFC 6946), which counts as FRAGMENT_NONE. */
  fragmentHeader: bool;
  /** The transport header is there and is one that translation changes: TCP, UDP, ICMP echo. */
  hasTransport: bool;
}

const RECORD = memory.data(96, 16);
if (offsetof<Packet>() > 96) ERROR("the record is larger than its memory");

export const FRAGMENT_NONE: u32 = 0;
export const FRAGMENT_FIRST: u32 = 1;
export const FRAGMENT_LATER: u32 = 2;

export const packet: Packet = changetype<Packet>(RECORD);

/** Extension headers before the transport header; a longer chain is refused. */
const MAX_EXTENSIONS: u32 = 8;

/** `length` bytes at `ip` → `packet`, or the reason why not. */
export function parse(ip: usize, length: u32): DropReason {
  packet.ip = ip;
  packet.tcpFlags = 0;
  packet.echoRequest = false;
  packet.icmpError = false;
  packet.fragment = FRAGMENT_NONE;
  packet.fragmentOffset = 0;
  packet.moreFragments = false;
  packet.fragmentHeader = false;
  packet.hasTransport = false;
  packet.routeField = 0;
  if (length < IPV4_HEADER) return DropReason.IP_TRUNCATED;
  const version = load<u8>(ip) >> 4;
  if (version != 4 && version != 6) return DropReason.IP_VERSION_UNKNOWN;
  const reason = version == 4 ? parse4(ip, length) : parse6(ip, length);
  if (reason == DropReason.IPV6_EXTENSION_INVALID) packet.routeField = 0;
  if (packet.routeField == 0) return reason;
  return version == 4 ? DropReason.IPV4_SOURCE_ROUTE : DropReason.IPV6_ROUTING_HEADER;
}

/** RFC 1812 §4.3.2.7, RFC 4443 §2.4 e: no ICMP error about a later fragment, nor about ICMP other than an echo. */
export function mayBeAnswered(): bool {
  return packet.fragment != FRAGMENT_LATER && (packet.protocol != PROTOCOL_ICMP4 || packet.hasTransport);
}

function parse4(ip: usize, length: u32): DropReason {
  const header = Ipv4.at(ip);
  const headerLength = header.headerLength;
  const total = header.totalLength;
  if (headerLength < IPV4_HEADER || headerLength > total) return DropReason.IPV4_HEADER_INVALID;
  if (total > length) return DropReason.IP_TRUNCATED;
  packet.family = 4;
  packet.hopLimit = header.ttl;
  packet.sourceLo = 0;
  packet.sourceHi = mappedHi(header.sourceBE);
  packet.destinationLo = 0;
  packet.destinationHi = mappedHi(header.destinationBE);
  packet.transport = ip + headerLength;
  packet.transportLength = total - headerLength;
  packet.identification = bswap<u16>(header.identificationBE);
  if (header.isFragment) {
    const flagsOffset: u32 = bswap<u16>(header.flagsOffsetBE);
    noteFragment((flagsOffset & 0x1fff) << 3, (flagsOffset & 0x2000) != 0);
  }
  if (headerLength > IPV4_HEADER) findSourceRoute(ip + IPV4_HEADER, ip + headerLength);
  const protocol: u32 = header.protocol;
  if (packet.fragment != FRAGMENT_NONE && !isPlausible(protocol, headerLength)) return DropReason.FRAGMENT_INVALID;
  if (packet.fragment == FRAGMENT_LATER) return parseLater(protocol);
  if (protocol == PROTOCOL_ICMP4) return parseIcmp(ICMP4_ECHO, ICMP4_ECHO_REPLY);
  return parseTransport(protocol);
}

function noteFragment(offset: u32, more: bool): void {
  packet.fragment = offset == 0 ? FRAGMENT_FIRST : FRAGMENT_LATER;
  packet.fragmentOffset = offset;
  packet.moreFragments = more;
}

/**
 * What reassembly would refuse or be fooled by: an empty fragment, one that isn't the last and doesn't end on a multiple
 * of eight (RFC 791, RFC 8200 §4.5), one that makes a packet of more than 65,535 bytes together with the `headers` that
 * each fragment repeats, one that reaches into the TCP header (RFC 1858 §4, RFC 3128).
 */
function isPlausible(protocol: u32, headers: u32): bool {
  const length = packet.transportLength;
  if (length == 0 || headers + packet.fragmentOffset + length > 0xffff) return false;
  if (packet.moreFragments && (length & 7) != 0) return false;
  return protocol != PROTOCOL_TCP || packet.fragmentOffset == 0 || packet.fragmentOffset >= TCP_HEADER;
}

/** A later fragment: its session is that of the first. */
function parseLater(protocol: u32): DropReason {
  packet.protocol = protocol;
  packet.sourcePortBE = 0;
  packet.destinationPortBE = 0;
  return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_ICMP4
    ? DropReason.NONE
    : DropReason.PROTOCOL_UNSUPPORTED;
}

/** RFC 7915 §4.1: an unexpired source route option (131 or 137) is refused, other options are ignored. */
function findSourceRoute(p: usize, end: usize): void {
  while (p < end) {
    const kind: u32 = load<u8>(p);
    if (kind == 0) return;
    if (kind == 1) {
      p++;
      continue;
    }
    if (p + 2 >= end) return;
    const length: u32 = load<u8>(p, 1);
    if (length < 2) return;
    if ((kind == 131 || kind == 137) && load<u8>(p, 2) <= length) packet.routeField = <u32>(p - packet.ip);
    p += length;
  }
}

function parse6(ip: usize, length: u32): DropReason {
  if (length < IPV6_HEADER) return DropReason.IP_TRUNCATED;
  const header = Ipv6.at(ip);
  if (header.payloadLength + IPV6_HEADER > length) return DropReason.IP_TRUNCATED;
  packet.family = 6;
  packet.hopLimit = header.hopLimit;
  packet.sourceLo = header.sourceLo;
  packet.sourceHi = header.sourceHi;
  packet.destinationLo = header.destinationLo;
  packet.destinationHi = header.destinationHi;
  if (isMapped(packet.sourceLo, packet.sourceHi)) return DropReason.SOURCE_NOT_INTERNAL;
  if (isMapped(packet.destinationLo, packet.destinationHi)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  const end = ip + IPV6_HEADER + header.payloadLength;
  let p = ip + IPV6_HEADER;
  let next: u32 = header.nextHeader;
  // RFC 7915 §5.1: Hop-by-Hop, Destination Options and exhausted Routing headers are skipped.
  for (let i: u32 = 0; isExtension(next); i++) {
    if (i == MAX_EXTENSIONS || p + 8 > end) return DropReason.IPV6_EXTENSION_INVALID;
    if (next == NEXT_FRAGMENT) {
      if (packet.fragmentHeader) return DropReason.IPV6_EXTENSION_INVALID;
      const fragment = Fragment.at(p);
      const offsetMore: u32 = bswap<u16>(fragment.offsetMoreBE);
      packet.fragmentHeader = true;
      packet.identification = bswap<u32>(fragment.identificationBE);
      next = fragment.nextHeader;
      p += FRAGMENT_HEADER;
      // RFC 6946: an 'atomic' fragment is the whole packet.
      if ((offsetMore & 0xfff9) == 0) continue;
      noteFragment(offsetMore & 0xfff8, (offsetMore & 1) != 0);
      // RFC 7915 §5.1.1: extension headers behind it, so in pieces themselves, end as unsupported protocols.
      break;
    }
    if (next == NEXT_ROUTING && load<u8>(p, 3) != 0) packet.routeField = <u32>(p - ip) + 3;
    next = load<u8>(p);
    p += (<u32>load<u8>(p, 1) + 1) << 3;
    if (p > end) return DropReason.IPV6_EXTENSION_INVALID;
  }
  packet.transport = p;
  packet.transportLength = <u32>(end - p);
  if (packet.fragment != FRAGMENT_NONE && !isPlausible(next, <u32>(p - ip) - IPV6_HEADER - FRAGMENT_HEADER))
    return DropReason.FRAGMENT_INVALID;
  if (packet.fragment == FRAGMENT_LATER) return parseLater(next == PROTOCOL_ICMP6 ? PROTOCOL_ICMP4 : next);
  if (next == PROTOCOL_ICMP6) return parseIcmp(ICMP6_ECHO, ICMP6_ECHO_REPLY);
  return parseTransport(next);
}

// @ts-ignore: decorator
@inline
export function isExtension(next: u32): bool {
  return (
    next == NEXT_HOP_BY_HOP || next == NEXT_DESTINATION_OPTIONS || next == NEXT_ROUTING || next == NEXT_FRAGMENT
  );
}

function parseTransport(protocol: u32): DropReason {
  const p = packet.transport;
  const length = packet.transportLength;
  packet.protocol = protocol;
  if (length >= 4) {
    packet.sourcePortBE = load<u16>(p);
    packet.destinationPortBE = load<u16>(p, 2);
  }
  if (protocol == PROTOCOL_TCP) {
    if (length < TCP_HEADER) return DropReason.TCP_HEADER_INVALID;
    const header = Tcp.at(p);
    const headerLength = header.headerLength;
    if (headerLength < TCP_HEADER || headerLength > length) return DropReason.TCP_HEADER_INVALID;
    const flags: u32 = header.flags;
    packet.hasTransport = true;
    packet.tcpFlags = flags;
    if ((flags & 63) == 0) return DropReason.TCP_FLAGS_INVALID;
    if (flags & TCP_SYN && flags & (TCP_FIN | TCP_RST)) return DropReason.TCP_FLAGS_INVALID;
  } else if (protocol == PROTOCOL_UDP) {
    if (length < UDP_HEADER) return DropReason.UDP_LENGTH_INVALID;
    const whole = Udp.at(p).length;
    if (packet.fragment == FRAGMENT_NONE ? whole != length : whole < length) return DropReason.UDP_LENGTH_INVALID;
    if (packet.family == 6 && Udp.at(p).checksum == 0) return DropReason.UDP_CHECKSUM_MISSING;
    packet.hasTransport = true;
  } else {
    return DropReason.PROTOCOL_UNSUPPORTED;
  }
  if (packet.sourcePortBE == 0 || packet.destinationPortBE == 0) return DropReason.PORT_ZERO;
  return DropReason.NONE;
}

function parseIcmp(echo: u32, echoReply: u32): DropReason {
  packet.protocol = PROTOCOL_ICMP4;
  if (packet.transportLength < ICMP_HEADER) return DropReason.ICMP_TRUNCATED;
  const header = Icmp.at(packet.transport);
  const type: u32 = header.type;
  if (type == echo || type == echoReply) {
    if (header.code != 0) return DropReason.ICMP_TYPE_UNSUPPORTED;
    packet.echoRequest = type == echo;
    packet.hasTransport = true;
    packet.sourcePortBE = header.identifierBE;
    packet.destinationPortBE = header.identifierBE;
    return DropReason.NONE;
  }
  packet.icmpError =
    packet.family == 4
      ? type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM
      : type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
  return packet.icmpError ? DropReason.NONE : DropReason.ICMP_TYPE_UNSUPPORTED;
}
