/** Changes in the transport header: port (or ICMP identifier), type, MSS, and the checksum by difference. */
import { adjust, fold, negate, sumAddress, sumPseudo } from "./checksum";
import { VirtualServer } from "./counters";
import { isPartial, requestChecksum } from "./offload";
import { packet } from "./packet";
import { PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { Session } from "./session";
import { poolAddress } from "./snat-pool";
import { ICMP4_ECHO, ICMP4_ECHO_REPLY, ICMP6_ECHO, ICMP6_ECHO_REPLY, Icmp } from "./wire/icmp";
import { TCP_SYN, Tcp, mssOption } from "./wire/tcp";
import { Udp } from "./wire/udp";

/**
 * Towards the outside (`outbound`) or back to the Pod. `maxSegment` bounds the MSS of a SYN (RFC 7915 leaves it to
 * path MTU discovery; a clamp spares its round trip and survives where ICMP is filtered).
 */
export function rewriteTransport(s: Session, outbound: bool, maxSegment: u32): void {
  const p = packet.transport;
  const delta: u32 = outbound ? s.deltaOut : s.deltaIn;
  const oldPort: u32 = outbound ? s.innerPortBE : s.outerPortBE;
  const newPort: u32 = outbound ? s.outerPortBE : s.innerPortBE;
  const portDelta: u32 = newPort + negate(oldPort);
  if (packet.protocol == PROTOCOL_TCP) {
    store<u16>(p + (outbound ? 0 : 2), <u16>newPort);
    const header = Tcp.at(p);
    // A partial checksum covers the pseudo-header only, and isn't complemented.
    header.checksum = <u16>(isPartial()
      ? fold(<u64>header.checksum + delta)
      : adjust(header.checksum, delta + portDelta));
    if (packet.tcpFlags & TCP_SYN) clampMss(p, maxSegment);
  } else if (packet.protocol == PROTOCOL_UDP) {
    store<u16>(p + (outbound ? 0 : 2), <u16>newPort);
    const header = Udp.at(p);
    if (isPartial()) {
      header.checksum = <u16>fold(<u64>header.checksum + delta);
    } else if (header.checksum != 0) {
      const sum = adjust(header.checksum, delta + portDelta);
      header.checksum = <u16>(sum == 0 ? 0xffff : sum);
    } else if (s.kind == VirtualServer.EGRESS_IPV4_NAT46) {
      // RFC 7915 §4.5: IPv6 demands a checksum. Only IPv4 packets come here without one, so it is on its way out.
      const address = poolAddress(s.pool);
      header.checksum = <u16>fold(
        <u64>sumAddress(address.lo, address.hi) +
          sumAddress(s.remoteLo, s.remoteHi) +
          sumPseudo(packet.transportLength, PROTOCOL_UDP),
      );
      requestChecksum(offsetof<Udp>("checksum"));
    }
  } else {
    rewriteIcmp(s, outbound, delta + portDelta, newPort);
  }
}

/** RFC 7915 §4.2 and §5.2: echo 8 ↔ 128, echo reply 0 ↔ 129; ICMPv6 sums the pseudo-header, ICMPv4 doesn't. */
function rewriteIcmp(s: Session, outbound: bool, delta: u32, identifierBE: u32): void {
  const header = Icmp.at(packet.transport);
  header.identifierBE = <u16>identifierBE;
  let sum: u64 = delta;
  if (s.kind == VirtualServer.EGRESS_IPV4_NAT46) {
    const oldType: u32 = header.type;
    const newType = outbound
      ? packet.echoRequest ? ICMP6_ECHO : ICMP6_ECHO_REPLY
      : packet.echoRequest ? ICMP4_ECHO : ICMP4_ECHO_REPLY;
    const pseudo = sumPseudo(packet.transportLength, PROTOCOL_ICMP6);
    header.type = <u8>newType;
    sum += newType + negate(oldType) + (outbound ? pseudo : negate(pseudo));
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
