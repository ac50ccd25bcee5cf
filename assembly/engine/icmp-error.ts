/**
 * ICMP errors that we originate about the packet in hand, back to its sender (RFC 792, RFC 4443 §3, RFC 7915 §4.4).
 */
import { mappedBE } from "../core/address";
import { fold, sumAddress, sumBytes, sumPseudo } from "../core/checksum";
import { Path, countPath } from "../core/counters";
import { packet } from "../core/packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6 } from "../core/protocol";
import {
  ICMP4_TIME_EXCEEDED,
  ICMP4_UNREACHABLE,
  ICMP6_PARAMETER_PROBLEM,
  ICMP6_TIME_EXCEEDED,
  ICMP6_TOO_BIG,
  ICMP_HEADER,
  Icmp,
} from "../core/wire/icmp";
import { IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "../core/wire/ipv6";
import { policies } from "./policy";
import { HEADROOM, sendFresh, slotAddress, takeSlot } from "./slots";

/** RFC 1812 §4.3.2.8: errors are rate-limited. Tokens refill by time. */
const PER_SECOND: u32 = 1000;
const BURST: u32 = 100;
let tokens: u32 = BURST;
let refilledMs: u32 = 0;

function allowed(nowMs: u32): bool {
  const earned = (min(nowMs - refilledMs, 1000) * PER_SECOND) / 1000;
  if (earned > 0) {
    tokens = min(BURST, tokens + min(earned, BURST));
    refilledMs = nowMs;
  }
  if (tokens == 0) return false;
  tokens--;
  return true;
}

export function sendTimeExceeded(nowMs: u32): void {
  if (packet.family == 4) send4(ICMP4_TIME_EXCEEDED, 0, 0, nowMs);
  else send6(ICMP6_TIME_EXCEEDED, 0, nowMs);
}

/** `mtu`: what would have fitted, as the sender counts (its own IP version). */
export function sendTooBig(mtu: u32, nowMs: u32): void {
  if (packet.family == 4) send4(ICMP4_UNREACHABLE, 4, mtu, nowMs);
  else send6(ICMP6_TOO_BIG, mtu, nowMs);
}

/** RFC 7915 §4.1: Source Route Failed. §5.1: the pointer is at the segments left. */
export function sendRouteRefused(nowMs: u32): void {
  if (packet.family == 4) send4(ICMP4_UNREACHABLE, 5, 0, nowMs);
  else send6(ICMP6_PARAMETER_PROBLEM, packet.routeField, nowMs);
}

/** As much of the offending packet as keeps the error within `limit` bytes (RFC 1812 §4.3.2.3; RFC 4443 §2.4 c). */
function quoted(limit: u32): u32 {
  return min(<u32>(packet.transport - packet.ip) + packet.transportLength, limit);
}

function send4(type: u32, code: u32, mtu: u32, nowMs: u32): void {
  if (!allowed(nowMs)) return;
  const slot = takeSlot();
  if (slot < 0) return;
  const ip = slotAddress(slot) + HEADROOM;
  const icmp = ip + IPV4_HEADER;
  const quote = quoted(576 - IPV4_HEADER - ICMP_HEADER);
  memory.copy(icmp + ICMP_HEADER, packet.ip, quote);
  const message = Icmp.at(icmp);
  message.type = <u8>type;
  message.code = <u8>code;
  message.checksum = 0;
  message.identifierBE = 0;
  message.sequenceBE = bswap<u16>(<u16>mtu);
  message.checksum = <u16>(fold(sumBytes(icmp, ICMP_HEADER + quote)) ^ 0xffff);
  const header = Ipv4.at(ip);
  header.versionIhl = 0x45;
  header.tos = 0xc0;
  header.totalLengthBE = bswap<u16>(<u16>(IPV4_HEADER + ICMP_HEADER + quote));
  header.identificationBE = 0;
  header.flagsOffsetBE = 0;
  header.ttl = 64;
  header.protocol = <u8>PROTOCOL_ICMP4;
  header.checksum = 0;
  // The outside never sees our inner address: to it the error comes from where it sent the packet.
  const own = policies.self4Hi != 0 && !packet.fromOutside;
  header.sourceBE = mappedBE(own ? policies.self4Hi : packet.destinationHi);
  header.destinationBE = mappedBE(packet.sourceHi);
  header.checksum = <u16>(fold(sumBytes(ip, IPV4_HEADER)) ^ 0xffff);
  send(ip, IPV4_HEADER + ICMP_HEADER + quote, slot);
}

/** `word`: what stands behind the checksum. */
function send6(type: u32, word: u32, nowMs: u32): void {
  if (!allowed(nowMs)) return;
  const slot = takeSlot();
  if (slot < 0) return;
  const ip = slotAddress(slot) + HEADROOM;
  const icmp = ip + IPV6_HEADER;
  const quote = quoted(1280 - IPV6_HEADER - ICMP_HEADER);
  const length = ICMP_HEADER + quote;
  memory.copy(icmp + ICMP_HEADER, packet.ip, quote);
  const message = Icmp.at(icmp);
  message.type = <u8>type;
  message.code = 0;
  message.checksum = 0;
  store<u32>(icmp, bswap<u32>(word), 4);
  const own = policies.self6Lo != 0 && !packet.fromOutside;
  const header = Ipv6.at(ip);
  header.versionClassFlowBE = 0x60;
  header.payloadLengthBE = bswap<u16>(<u16>length);
  header.nextHeader = <u8>PROTOCOL_ICMP6;
  header.hopLimit = 64;
  header.sourceLo = own ? policies.self6Lo : packet.destinationLo;
  header.sourceHi = own ? policies.self6Hi : packet.destinationHi;
  header.destinationLo = packet.sourceLo;
  header.destinationHi = packet.sourceHi;
  message.checksum = <u16>(fold(
    sumBytes(icmp, length) +
      sumAddress(header.sourceLo, header.sourceHi) +
      sumAddress(header.destinationLo, header.destinationHi) +
      sumPseudo(length, PROTOCOL_ICMP6),
  ) ^ 0xffff);
  send(ip, IPV6_HEADER + length, slot);
}

function send(ip: usize, length: u32, slot: u32): void {
  if (sendFresh(ip, length, slot)) countPath(Path.ICMP_ERROR, length);
}
