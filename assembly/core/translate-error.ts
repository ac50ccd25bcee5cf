/**
 * ICMP errors from one side to the other, between IP versions or within one: the outer header by `target`, the quoted
 * packet by `quotedTarget`, its checksums too, RFC 4884 extensions kept (RFC 7915 §4.2–4.4, §5.2–5.4). Errors are rare:
 * the message is built anew in memory of its own, its checksum summed over all of it.
 */
import { mappedBE } from "./address";
import { adjust, fold, sumAddress, sumBytes, sumPseudo } from "./checksum";
import { code46, mapError46, type46, word46 } from "./icmp46";
import { code64, mapError64, type64, word64 } from "./icmp64";
import { packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { extensionEnd, extensionStart, quoted, quotedLength } from "./quote";
import { quotedTarget, target } from "./target";
import { portDelta, rewriteEcho } from "./transport";
import { nextIdentification } from "./translate64";
import { ICMP6_TOO_BIG, ICMP_HEADER, Icmp } from "./wire/icmp";
import { IPV4_DONT_FRAGMENT_BE, IPV4_HEADER, Ipv4 } from "./wire/ipv4";
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
  const length = ICMP_HEADER + writeQuote(icmp, family, max);
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

/** Quote and extensions behind the ICMP header, `max` bytes at most. → bytes written. */
function writeQuote(icmp: usize, family: u32, max: u32): u32 {
  const start = icmp + ICMP_HEADER;
  const extension = <u32>(extensionEnd - extensionStart);
  // Packet Too Big has no room for the length attribute, so no extensions either.
  const extended = extension > 0 && extension + 128 <= max && !(family == 6 && Icmp.at(icmp).type == ICMP6_TOO_BIG);
  let room = extended ? (max - extension) & ~7 : max;
  const transport = writeQuotedHeader(start, family);
  room -= <u32>(transport - start);
  const length = min(quoted.transportLength, room);
  memory.copy(transport, quoted.transport, length);
  rewriteQuotedTransport(transport, length, family);
  let written = <u32>(transport - start) + length;
  if (!extended) {
    if (extension > 0) clearLength(icmp, family);
    return written;
  }
  // RFC 4884 §4.2: the quote is padded with zeros, to whole words and 128 bytes at least.
  const padded: u32 = written > 128 ? (written + 7) & ~7 : 128;
  memory.fill(start + written, 0, padded - written);
  memory.copy(start + padded, extensionStart, extension);
  if (family == 6) store<u8>(icmp, <u8>(padded >> 3), 4);
  else store<u8>(icmp, <u8>(padded >> 2), 5);
  written = padded + extension;
  return written;
}

function clearLength(icmp: usize, family: u32): void {
  if (family == 4) store<u8>(icmp, 0, 5);
  else if (Icmp.at(icmp).type != ICMP6_TOO_BIG) store<u8>(icmp, 0, 4);
}

/** → where the quoted transport header goes. */
function writeQuotedHeader(p: usize, family: u32): usize {
  const t = quotedTarget;
  if (family == 6) {
    const header = Ipv6.at(p);
    let length = IPV6_HEADER;
    if (quoted.family == 6) {
      length = <u32>(quoted.transport - quoted.ip);
      memory.copy(p, quoted.ip, length);
    } else {
      const old = Ipv4.at(quoted.ip);
      header.versionClassFlowBE = bswap<u32>(0x60000000 | (<u32>old.tos << 20));
      header.payloadLengthBE = bswap<u16>(<u16>quotedLength);
      header.nextHeader = <u8>(quoted.protocol == PROTOCOL_ICMP4 ? PROTOCOL_ICMP6 : quoted.protocol);
      header.hopLimit = <u8>quoted.hopLimit;
    }
    header.sourceLo = t.sourceLo;
    header.sourceHi = t.sourceHi;
    header.destinationLo = t.destinationLo;
    header.destinationHi = t.destinationHi;
    return p + length;
  }
  const header = Ipv4.at(p);
  let length = IPV4_HEADER;
  if (quoted.family == 4) {
    length = <u32>(quoted.transport - quoted.ip);
    memory.copy(p, quoted.ip, length);
  } else {
    header.versionIhl = 0x45;
    header.tos = <u8>Ipv6.at(quoted.ip).trafficClass;
    header.totalLengthBE = bswap<u16>(<u16>min(quotedLength + IPV4_HEADER, 0xffff));
    header.identificationBE = 0;
    header.flagsOffsetBE = IPV4_DONT_FRAGMENT_BE;
    header.ttl = <u8>quoted.hopLimit;
    header.protocol = <u8>quoted.protocol;
  }
  header.sourceBE = mappedBE(t.sourceHi);
  header.destinationBE = mappedBE(t.destinationHi);
  header.checksum = 0;
  header.checksum = <u16>(fold(sumBytes(p, length)) ^ 0xffff);
  return p + length;
}

function rewriteQuotedTransport(p: usize, length: u32, family: u32): void {
  const t = quotedTarget;
  if (quoted.protocol == PROTOCOL_ICMP4) {
    rewriteEcho(p, t, quoted.family, family, quotedLength);
    return;
  }
  const delta = t.delta + portDelta(t, quoted.sourcePortBE, quoted.destinationPortBE);
  store<u16>(p, <u16>t.sourcePortBE);
  store<u16>(p, <u16>t.destinationPortBE, 2);
  const field: u32 = quoted.protocol == PROTOCOL_TCP ? 16 : 6;
  if (field + 2 > length) return;
  const old: u32 = load<u16>(p + field);
  if (old != 0 || quoted.protocol != PROTOCOL_UDP) store<u16>(p + field, <u16>adjust(old, fold(delta)));
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
