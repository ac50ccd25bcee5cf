/** Changes in the transport header: ports (or ICMP identifier), type, MSS, and the checksum by difference. */
import { adjust, fold, fold32, negate, sumAddress, sumPseudo } from "./checksum";
import { isPartial, requestChecksum } from "./offload";
import { packet } from "./packet";
import { segmentByRoute } from "./path-mtu";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { Target, target } from "./target";
import { ICMP4_ECHO, ICMP4_ECHO_REPLY, ICMP6_ECHO, ICMP6_ECHO_REPLY, Icmp } from "./wire/icmp";
import { TCP_SYN, Tcp, mssOption } from "./wire/tcp";
import { Udp } from "./wire/udp";
import { VNET_NEEDS_CHECKSUM } from "./wire/vnet";

/** Folded: what new ports in the place of old ones add to a checksum. */
// @ts-ignore: decorator
@inline
export function portDelta(t: Target, sourcePortBE: u32, destinationPortBE: u32): u32 {
  return t.sourcePortBE + negate(sourcePortBE) + t.destinationPortBE + negate(destinationPortBE);
}

/**
 * New ports in a TCP or UDP header; folded or sums of folded ones: `delta` for the addresses, `ports` for the ports.
 * `flags` are those of the offload header: a partial checksum covers the pseudo-header only, and isn't complemented.
 * Not for UDP without a checksum.
 */
// @ts-ignore: decorator
@inline
export function setPorts(
  p: usize,
  protocol: u32,
  sourcePortBE: u32,
  destinationPortBE: u32,
  delta: u32,
  ports: u32,
  flags: u32,
): void {
  store<u32>(p, sourcePortBE | (destinationPortBE << 16));
  const partial = (flags & VNET_NEEDS_CHECKSUM) != 0;
  if (protocol == PROTOCOL_TCP) {
    const header = Tcp.at(p);
    header.checksum = <u16>(partial ? fold32(header.checksum + delta) : adjust(header.checksum, delta + ports));
    return;
  }
  const header = Udp.at(p);
  const old: u32 = header.checksum;
  if (partial) {
    header.checksum = <u16>fold32(old + delta);
    return;
  }
  const sum = adjust(old, delta + ports);
  header.checksum = <u16>sum;
  if (sum == 0) header.checksum = 0xffff;
}

/**
 * Of the packet in hand, by `target`; `family` is the IP version that it will have. `maxSegment` bounds the MSS of a SYN
 * (RFC 7915 leaves it to path MTU discovery; a clamp spares its round trip and survives where ICMP is filtered).
 */
export function rewriteTransport(family: u32, maxSegment: u32): void {
  const p = packet.transport;
  const protocol = packet.protocol;
  if (protocol == PROTOCOL_ICMP4) {
    rewriteEcho(p, target, packet.family, family, packet.transportLength);
    return;
  }
  if (protocol == PROTOCOL_UDP && !isPartial() && Udp.at(p).checksum == 0) {
    Udp.at(p).sourceBE = <u16>target.sourcePortBE;
    Udp.at(p).destinationBE = <u16>target.destinationPortBE;
    if (family == 6) sumUdp(p);
    return;
  }
  const ports = portDelta(target, packet.sourcePortBE, packet.destinationPortBE);
  const flags = isPartial() ? VNET_NEEDS_CHECKSUM : 0;
  setPorts(p, protocol, target.sourcePortBE, target.destinationPortBE, target.delta, ports, flags);
  if (protocol == PROTOCOL_TCP && packet.tcpFlags & TCP_SYN) clampMss(p, segmentByRoute(maxSegment));
}

/** RFC 7915 §4.5: IPv6 demands a checksum. */
function sumUdp(p: usize): void {
  Udp.at(p).checksum = <u16>fold(
    <u64>sumAddress(target.sourceLo, target.sourceHi) +
      sumAddress(target.destinationLo, target.destinationHi) +
      sumPseudo(packet.transportLength, PROTOCOL_UDP),
  );
  requestChecksum(offsetof<Udp>("checksum"));
}

/**
 * RFC 7915 §4.2 and §5.2: echo 8 ↔ 128, echo reply 0 ↔ 129; ICMPv6 sums the pseudo-header, ICMPv4 doesn't. `length` is
 * what the pseudo-header says.
 */
export function rewriteEcho(p: usize, t: Target, from: u32, to: u32, length: u32): void {
  const header = Icmp.at(p);
  let sum: u64 = t.delta + t.sourcePortBE + negate(header.identifierBE);
  header.identifierBE = <u16>t.sourcePortBE;
  if (from != to) {
    const oldType: u32 = header.type;
    const request = oldType == (from == 4 ? ICMP4_ECHO : ICMP6_ECHO);
    const newType =
      to == 6 ? (request ? ICMP6_ECHO : ICMP6_ECHO_REPLY) : request ? ICMP4_ECHO : ICMP4_ECHO_REPLY;
    const pseudo = sumPseudo(length, PROTOCOL_ICMP6);
    header.type = <u8>newType;
    sum += newType + negate(oldType) + (to == 6 ? pseudo : negate(pseudo));
  }
  header.checksum = <u16>adjust(header.checksum, fold(sum));
}

function clampMss(tcp: usize, maxSegment: u32): void {
  const p = mssOption(tcp, tcp + Tcp.at(tcp).headerLength);
  if (p == 0) return;
  const old = load<u16>(p);
  if (<u32>bswap<u16>(old) <= maxSegment) return;
  const clamped = bswap<u16>(<u16>maxSegment);
  store<u16>(p, clamped);
  if (isPartial()) return;
  let delta: u32 = clamped + negate(old);
  // At an odd offset the two bytes of the value stand in two different words of the sum.
  if ((p - tcp) & 1) delta = bswap<u16>(<u16>fold(delta));
  const header = Tcp.at(tcp);
  header.checksum = <u16>adjust(header.checksum, fold(delta));
}
