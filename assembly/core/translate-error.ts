/**
 * ICMP errors from one side to the other, between IP versions or within one: the outer header by `target`, the quoted
 * packet by `quotedTarget`, RFC 4884 extensions kept (RFC 7915 §4.2–4.4, §5.2–5.4). Errors are rare: the message is built
 * anew in memory of its own, its checksum summed over all of it.
 */
import { mappedBE } from "./address";
import { fold, sumAddress, sumBytes, sumPseudo } from "./checksum";
import { code46, mapError46, type46, word46 } from "./icmp46";
import { code64, mapError64, type64, word64 } from "./icmp64";
import { packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6 } from "./protocol";
import {
  EXTENDED_QUOTE_MIN,
  extensionEnd,
  extensionStart,
  hasLengthAttribute,
  quoted,
  quotedLength,
} from "./quote";
import { target } from "./target";
import { quotedHeaders, writeQuotedPacket } from "./translate-quote";
import { nextIdentification } from "./translate64";
import { ICMP_HEADER, Icmp } from "./wire/icmp";
import { IPV4_HEADER, Ipv4 } from "./wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "./wire/ipv6";

/** RFC 1812 §4.3.2.3 and RFC 4443 §2.4 c: the whole error has at most so many bytes. */
const ERROR_MAX4: u32 = 576;
const ERROR_MAX6: u32 = 1280;

/**
 * Writes the error to `ip` as a packet of IP version `family`; the MTUs are those of the next hops. → its length, or 0
 * when it has no counterpart.
 */
export function translateError(ip: usize, family: u32, mtu4: u32, mtu6: u32): u32 {
  const six = family == 6;
  const icmp = ip + (six ? IPV6_HEADER : IPV4_HEADER);
  if (!writeHead(icmp, family, mtu4, mtu6)) return 0;
  const max = (six ? ERROR_MAX6 - IPV6_HEADER : ERROR_MAX4 - IPV4_HEADER) - ICMP_HEADER;
  const length = ICMP_HEADER + writeBody(icmp, family, max);
  const message = Icmp.at(icmp);
  message.checksum = 0;
  let sum = sumBytes(icmp, length);
  if (six) {
    writeHeader6(ip, length);
    sum += sumAddress(target.sourceLo, target.sourceHi);
    sum += sumAddress(target.destinationLo, target.destinationHi);
    sum += sumPseudo(length, PROTOCOL_ICMP6);
  } else {
    writeHeader4(ip, length);
  }
  message.checksum = <u16>(fold(sum) ^ 0xffff);
  return <u32>(icmp - ip) + length;
}

/** Type, code and the word behind the checksum. */
function writeHead(icmp: usize, family: u32, mtu4: u32, mtu6: u32): bool {
  const old = Icmp.at(packet.transport);
  const word = bswap<u32>(load<u32>(packet.transport, 4));
  const message = Icmp.at(icmp);
  if (family == packet.family) {
    store<u64>(icmp, load<u64>(packet.transport));
    return true;
  }
  if (family == 6) {
    const total = quotedLength + <u32>(quoted.transport - quoted.ip);
    if (!mapError46(old.type, old.code, word, total, mtu4, mtu6)) return false;
    message.type = <u8>type46;
    message.code = <u8>code46;
    store<u32>(icmp, bswap<u32>(word46), 4);
  } else {
    if (!mapError64(old.type, old.code, word, mtu4, mtu6)) return false;
    message.type = <u8>type64;
    message.code = <u8>code64;
    store<u32>(icmp, bswap<u32>(word64), 4);
  }
  return true;
}

/**
 * Quote and extensions behind the ICMP header, `room` bytes at most: the quote is cut before extensions are (RFC 7915
 * §4.2). They are lost where the new type has no length attribute, or too little of the quote was left. → bytes written.
 */
function writeBody(icmp: usize, family: u32, room: u32): u32 {
  const body = icmp + ICMP_HEADER;
  const hasLength = hasLengthAttribute(icmp, family);
  const extension = <u32>(extensionEnd - extensionStart);
  const needed = max(EXTENDED_QUOTE_MIN, quotedHeaders(family) + 8);
  const extended = hasLength && extension > 0 && extension + needed + 8 <= room;
  // Byte and unit of the attribute: 32-bit words in ICMPv4, 64-bit words in ICMPv6.
  const attribute = icmp + (family == 6 ? 4 : 5);
  const shift: u32 = family == 6 ? 3 : 2;
  if (!extended) {
    if (hasLength) store<u8>(attribute, 0);
    return writeQuotedPacket(body, family, room);
  }
  const unit: u32 = 1 << shift;
  const written = writeQuotedPacket(body, family, (room - extension) & ~(unit - 1));
  const padded = max(EXTENDED_QUOTE_MIN, (written + unit - 1) & ~(unit - 1));
  memory.fill(body + written, 0, padded - written);
  memory.copy(body + padded, extensionStart, extension);
  store<u8>(attribute, <u8>(padded >> shift));
  return padded + extension;
}

function writeHeader4(ip: usize, length: u32): void {
  const header = Ipv4.at(ip);
  const translated = packet.family == 6;
  header.versionIhl = 0x45;
  header.tos = translated ? <u8>Ipv6.at(packet.ip).trafficClass : Ipv4.at(packet.ip).tos;
  header.totalLengthBE = bswap<u16>(<u16>(IPV4_HEADER + length));
  header.identificationBE = nextIdentification();
  header.flagsOffsetBE = 0;
  header.ttl = <u8>(packet.hopLimit - (translated ? 1 : 0));
  header.protocol = <u8>PROTOCOL_ICMP4;
  header.checksum = 0;
  header.sourceBE = mappedBE(target.sourceHi);
  header.destinationBE = mappedBE(target.destinationHi);
  header.checksum = <u16>(fold(sumBytes(ip, IPV4_HEADER)) ^ 0xffff);
}

function writeHeader6(ip: usize, length: u32): void {
  const header = Ipv6.at(ip);
  const translated = packet.family == 4;
  const tos: u32 = translated ? Ipv4.at(packet.ip).tos : Ipv6.at(packet.ip).trafficClass;
  header.versionClassFlowBE = bswap<u32>(0x60000000 | (tos << 20));
  header.payloadLengthBE = bswap<u16>(<u16>length);
  header.nextHeader = <u8>PROTOCOL_ICMP6;
  header.hopLimit = <u8>(packet.hopLimit - (translated ? 1 : 0));
  header.sourceLo = target.sourceLo;
  header.sourceHi = target.sourceHi;
  header.destinationLo = target.destinationLo;
  header.destinationHi = target.destinationHi;
}
if (ICMP_HEADER != 8) ERROR("writeHead copies eight bytes");
