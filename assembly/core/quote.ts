/**
 * The packet that an ICMP error quotes (RFC 792, RFC 4443 §2.4 c): enough of it to find its session. It may be cut
 * anywhere behind the first eight bytes of its transport header, and extensions may follow it (RFC 4884).
 */
import { mappedHi } from "./address";
import { Packet, packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { DropReason } from "./verdict";
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
import { IPV6_HEADER, Ipv6, NEXT_DESTINATION_OPTIONS, NEXT_HOP_BY_HOP, NEXT_ROUTING } from "./wire/ipv6";

const RECORD = memory.data(96, 16);
/** transportLength is what is quoted of it; quotedLength what its IP header told. */
export const quoted: Packet = changetype<Packet>(RECORD);
/** Bytes from the quoted transport header to the end of the original packet. */
export let quotedLength: u32 = 0;
/** RFC 4884 extensions behind the quote; equal when there are none. */
export let extensionStart: usize = 0;
export let extensionEnd: usize = 0;

/** RFC 4884 §5.1 and §5.2: byte and unit of the length attribute; a quote before extensions has at least 128 bytes. */
const EXTENDED_QUOTE_MIN: u32 = 128;

/** Reads the quote of the ICMP error in hand. */
export function parseQuote(): DropReason {
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
  const ok = packet.family == 4 ? parse4(ip, end) : parse6(ip, end);
  return ok ? DropReason.NONE : DropReason.ICMP_QUOTE_INVALID;
}

/** RFC 4884 length attribute in bytes: 32-bit words in ICMPv4, 64-bit words in ICMPv6, where Packet Too Big has none. */
function toldLength(message: usize): u32 {
  if (packet.family == 4) return <u32>load<u8>(message, 5) << 2;
  const type: u32 = Icmp.at(message).type;
  return type == ICMP6_UNREACHABLE || type == ICMP6_TIME_EXCEEDED ? <u32>load<u8>(message, 4) << 3 : 0;
}

function parse4(ip: usize, end: usize): bool {
  if (ip + IPV4_HEADER > end) return false;
  const header = Ipv4.at(ip);
  const headerLength = header.headerLength;
  const total = header.totalLength;
  if (header.versionIhl >> 4 != 4 || headerLength < IPV4_HEADER || total < headerLength + 8) return false;
  // A later fragment has no ports.
  if ((bswap<u16>(header.flagsOffsetBE) & 0x1fff) != 0) return false;
  quoted.sourceLo = 0;
  quoted.sourceHi = mappedHi(header.sourceBE);
  quoted.destinationLo = 0;
  quoted.destinationHi = mappedHi(header.destinationBE);
  quoted.hopLimit = header.ttl;
  quotedLength = total - headerLength;
  return parseTransport(ip + headerLength, end, header.protocol, ICMP4_ECHO, ICMP4_ECHO_REPLY, PROTOCOL_ICMP4);
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
  let p = ip + IPV6_HEADER;
  let next: u32 = header.nextHeader;
  while (next == NEXT_HOP_BY_HOP || next == NEXT_DESTINATION_OPTIONS || next == NEXT_ROUTING) {
    if (p + 8 > end) return false;
    next = load<u8>(p);
    p += (<u32>load<u8>(p, 1) + 1) << 3;
  }
  const before = <u32>(p - ip) - IPV6_HEADER;
  if (header.payloadLength < before + 8) return false;
  quotedLength = header.payloadLength - before;
  return parseTransport(p, end, next, ICMP6_ECHO, ICMP6_ECHO_REPLY, PROTOCOL_ICMP6);
}

function parseTransport(p: usize, end: usize, protocol: u32, echo: u32, echoReply: u32, icmp: u32): bool {
  if (p + 8 > end) return false;
  quoted.transport = p;
  // Padding behind the original packet isn't part of it.
  quoted.transportLength = min(<u32>(end - p), quotedLength);
  if (protocol == icmp) {
    const header = Icmp.at(p);
    const type: u32 = header.type;
    if (type != echo && type != echoReply) return false;
    quoted.protocol = PROTOCOL_ICMP4;
    quoted.echoRequest = type == echo;
    quoted.sourcePortBE = header.identifierBE;
    quoted.destinationPortBE = header.identifierBE;
    return true;
  }
  quoted.protocol = protocol;
  quoted.sourcePortBE = load<u16>(p);
  quoted.destinationPortBE = load<u16>(p, 2);
  return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP;
}
