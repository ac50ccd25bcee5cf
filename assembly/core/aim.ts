/** Session → target: where its packets go, each way, and what an ICMP error about them must quote. */
import { mappedBE, mappedHi } from "./address";
import { fold, negate } from "./checksum";
import { Path, VirtualServer } from "./counters";
import { nat64Hi, nat64Lo } from "./nat64";
import { packet } from "./packet";
import { PROTOCOL_ICMP4 } from "./protocol";
import { Session, outerFamily } from "./session";
import { poolAddress } from "./snat-pool";
import { quotedTarget, target } from "./target";

/** The remote end as the Pod knows it. */
// @ts-ignore: decorator
@inline
export function seenLo(s: Session): u64 {
  if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) return nat64Lo(mappedBE(s.remoteHi));
  return s.kind == VirtualServer.EGRESS_IPV4_NAT46 ? 0 : s.remoteLo;
}

// @ts-ignore: decorator
@inline
export function seenHi(s: Session): u64 {
  if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) return nat64Hi(mappedBE(s.remoteHi));
  return s.kind == VirtualServer.EGRESS_IPV4_NAT46 ? mappedHi(s.seen4BE) : s.remoteHi;
}

/** The packet in hand, from the Pod to the outside. */
// @ts-ignore: decorator
@inline
export function aimOut(s: Session): void {
  const address = poolAddress(s.pool);
  target.sourceLo = address.lo;
  target.sourceHi = address.hi;
  target.destinationLo = s.remoteLo;
  target.destinationHi = s.remoteHi;
  target.sourcePortBE = s.outerPortBE;
  target.destinationPortBE = s.protocol == PROTOCOL_ICMP4 ? s.outerPortBE : packet.destinationPortBE;
  target.delta = s.deltaOut;
}

/** The packet in hand, from the outside to the Pod. */
// @ts-ignore: decorator
@inline
export function aimIn(s: Session): void {
  target.sourceLo = seenLo(s);
  target.sourceHi = seenHi(s);
  target.destinationLo = s.innerLo;
  target.destinationHi = s.innerHi;
  target.sourcePortBE = s.protocol == PROTOCOL_ICMP4 ? s.innerPortBE : packet.sourcePortBE;
  target.destinationPortBE = s.innerPortBE;
  target.delta = s.deltaIn;
}

/** An error from outside quotes what we sent: the quote becomes what the Pod sent. */
export function aimQuoteIn(s: Session): void {
  quotedTarget.sourceLo = s.innerLo;
  quotedTarget.sourceHi = s.innerHi;
  quotedTarget.destinationLo = seenLo(s);
  quotedTarget.destinationHi = seenHi(s);
  quotedTarget.sourcePortBE = s.innerPortBE;
  quotedTarget.destinationPortBE = s.protocol == PROTOCOL_ICMP4 ? s.innerPortBE : s.remotePortBE;
  quotedTarget.delta = negate(s.deltaOut);
}

/** An error from a Pod quotes what we gave it: the quote becomes what came from outside. */
export function aimQuoteOut(s: Session): void {
  const address = poolAddress(s.pool);
  quotedTarget.sourceLo = s.remoteLo;
  quotedTarget.sourceHi = s.remoteHi;
  quotedTarget.destinationLo = address.lo;
  quotedTarget.destinationHi = address.hi;
  quotedTarget.sourcePortBE = s.protocol == PROTOCOL_ICMP4 ? s.outerPortBE : s.remotePortBE;
  quotedTarget.destinationPortBE = s.outerPortBE;
  // deltaIn counts from where return traffic arrives, which under automap isn't the address itself; ICMPv4 doesn't.
  const uncounted = s.protocol == PROTOCOL_ICMP4 && outerFamily(s.kind) == 4;
  const alias = uncounted ? 0 : <u32>address.sum + negate(address.inboundSum);
  quotedTarget.delta = fold(<u64>negate(s.deltaIn) + alias);
}

/** The way of the session's packets to the outside. */
export function pathOut(s: Session): Path {
  if (s.kind == VirtualServer.EGRESS_IPV4_NAT46) return Path.OUT_46;
  if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) return Path.OUT_64;
  return s.kind == VirtualServer.EGRESS_IPV4 ? Path.OUT_44 : Path.OUT_66;
}

/** Of those from outside. */
export function pathIn(s: Session): Path {
  if (s.kind == VirtualServer.EGRESS_IPV4_NAT46) return Path.IN_64;
  if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) return Path.IN_46;
  return s.kind == VirtualServer.EGRESS_IPV4 ? Path.IN_44 : Path.IN_66;
}
