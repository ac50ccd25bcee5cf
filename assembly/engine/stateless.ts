/**
 * Translation without state (SIIT, RFC 7915 with RFC 7757 and RFC 6052): the IP version of a packet is its direction,
 * both addresses are mapped, ports stay.
 */
import { isForwardable4, isForwardable6, mappedBE, mappedHi } from "../core/address";
import { fold, negate, sum32, sumAddress, sumBytes } from "../core/checksum";
import { Path } from "../core/counters";
import { map46, map64, mappedAddressHi, mappedLo } from "../core/eam";
import { isExtension, mayBeAnswered, packet } from "../core/packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6 } from "../core/protocol";
import { parseQuote, quoted } from "../core/quote";
import { Target, quotedTarget, target } from "../core/target";
import { DropReason } from "../core/verdict";
import { sendRouteRefused } from "./icmp-error";
import { sendError } from "./icmp-relay";
import { send } from "./pipeline";
import { policies } from "./policy";

/** `parsed` is parse()'s answer: some of what sessions can't use is translated all the same. */
export function translateStateless(parsed: DropReason, nowMs: u32): DropReason {
  if (parsed == DropReason.PROTOCOL_UNSUPPORTED) {
    // RFC 7915 §4.1, §5.1: other protocols pass, but not the other version's ICMP.
    const wrong = packet.family == 4 ? PROTOCOL_ICMP6 : PROTOCOL_ICMP4;
    // Nor what IPv6 would take for an extension header.
    if (packet.protocol == wrong || (packet.family == 4 && isExtension(packet.protocol))) return parsed;
  } else if (
    parsed != DropReason.NONE &&
    packet.routeField == 0 &&
    parsed != DropReason.PORT_ZERO &&
    parsed != DropReason.TCP_FLAGS_INVALID
  ) {
    // Sources of the form ::ffff:a.b.c.d stand for no IPv6 host.
    return parsed == DropReason.SOURCE_NOT_INTERNAL ? DropReason.SOURCE_UNMAPPED : parsed;
  }
  const four = packet.family == 4;
  if (four && fold(sumBytes(packet.ip, <u32>(packet.transport - packet.ip))) != 0xffff)
    return DropReason.IPV4_CHECKSUM_INVALID;
  if (packet.routeField != 0) return refuseRoute(parsed, nowMs);
  if (packet.icmpError) return relayError();
  const reason = aim(target, packet.sourceLo, packet.sourceHi, packet.destinationLo, packet.destinationHi, four);
  if (reason != DropReason.NONE) return reason;
  target.sourcePortBE = packet.sourcePortBE;
  target.destinationPortBE = packet.destinationPortBE;
  setDelta(target, packet.sourceHi, packet.destinationHi, packet.sourceLo, packet.destinationLo, packet.protocol);
  return send(four ? Path.OUT_46 : Path.IN_64);
}

function refuseRoute(reason: DropReason, nowMs: u32): DropReason {
  const source = isForwardable(packet.sourceLo, packet.sourceHi, packet.family == 4);
  if (source && mayBeAnswered()) sendRouteRefused(nowMs);
  return reason;
}

/** Both addresses through the mappings. */
function aim(t: Target, sourceLo: u64, sourceHi: u64, destinationLo: u64, destinationHi: u64, four: bool): DropReason {
  if (!isForwardable(destinationLo, destinationHi, four)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  if (!map(destinationLo, destinationHi, four)) return DropReason.DESTINATION_UNMAPPED;
  // An IPv6 prefix has room for IPv4 addresses that no host has: multicast, loopback.
  if (!isForwardable(mappedLo, mappedAddressHi, !four)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  t.destinationLo = mappedLo;
  t.destinationHi = mappedAddressHi;
  if (!mapSource(sourceLo, sourceHi, four)) return DropReason.SOURCE_UNMAPPED;
  t.sourceLo = mappedLo;
  t.sourceHi = mappedAddressHi;
  return DropReason.NONE;
}

function mapSource(lo: u64, hi: u64, four: bool): bool {
  return isForwardable(lo, hi, four) && map(lo, hi, four) && isForwardable(mappedLo, mappedAddressHi, !four);
}

function map(lo: u64, hi: u64, four: bool): bool {
  return four ? map46(mappedBE(hi)) : map64(lo, hi);
}

function isForwardable(lo: u64, hi: u64, four: bool): bool {
  return four ? isForwardable4(bswap<u32>(mappedBE(hi))) : isForwardable6(lo);
}

/** What the new addresses add to the transport checksum; see Target. */
function setDelta(t: Target, oldSourceHi: u64, oldDestinationHi: u64, oldSourceLo: u64, oldDestinationLo: u64, protocol: u32): void {
  const four = packet.family == 4;
  const old4 = sum32(mappedBE(oldSourceHi)) + sum32(mappedBE(oldDestinationHi));
  const old6 = sumAddress(oldSourceLo, oldSourceHi) + sumAddress(oldDestinationLo, oldDestinationHi);
  const new4 = sum32(mappedBE(t.sourceHi)) + sum32(mappedBE(t.destinationHi));
  const new6 = sumAddress(t.sourceLo, t.sourceHi) + sumAddress(t.destinationLo, t.destinationHi);
  const icmp = protocol == PROTOCOL_ICMP4;
  if (four) t.delta = fold(<u64>new6 + (icmp ? 0 : negate(fold(old4))));
  else t.delta = fold(<u64>(icmp ? 0 : new4) + negate(fold(old6)));
}

/** An ICMP error: outer and quoted addresses, each through the mappings. */
function relayError(): DropReason {
  const four = packet.family == 4;
  const reason = parseQuote();
  if (reason != DropReason.NONE) return reason;
  if (four && isExtension(quoted.protocol)) return DropReason.ICMP_QUOTE_INVALID;
  if (!isForwardable(packet.destinationLo, packet.destinationHi, four)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  if (!map(packet.destinationLo, packet.destinationHi, four)) return DropReason.DESTINATION_UNMAPPED;
  if (!isForwardable(mappedLo, mappedAddressHi, !four)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  target.destinationLo = mappedLo;
  target.destinationHi = mappedAddressHi;
  if (!isForwardable(packet.sourceLo, packet.sourceHi, four)) return DropReason.SOURCE_UNMAPPED;
  if (map(packet.sourceLo, packet.sourceHi, four)) {
    target.sourceLo = mappedLo;
    target.sourceHi = mappedAddressHi;
  } else {
    // RFC 6791: a router without a mapped address has that of a pool.
    if (four || policies.router4Hi == mappedHi(0)) return DropReason.SOURCE_UNMAPPED;
    target.sourceLo = 0;
    target.sourceHi = policies.router4Hi;
  }
  const quote = aim(quotedTarget, quoted.sourceLo, quoted.sourceHi, quoted.destinationLo, quoted.destinationHi, four);
  if (quote != DropReason.NONE) return quote;
  quotedTarget.sourcePortBE = quoted.sourcePortBE;
  quotedTarget.destinationPortBE = quoted.destinationPortBE;
  setDelta(
    quotedTarget,
    quoted.sourceHi,
    quoted.destinationHi,
    quoted.sourceLo,
    quoted.destinationLo,
    quoted.protocol,
  );
  return sendError(four ? 6 : 4, four ? Path.OUT_46 : Path.IN_64);
}
