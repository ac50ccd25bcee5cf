/** Session → target: where its packets go, each way, and what an ICMP error about them must quote. */
import { mappedHi } from "./address";
import { fold, negate } from "./checksum";
import { VirtualServer } from "./counters";
import { packet } from "./packet";
import { PROTOCOL_ICMP4 } from "./protocol";
import { Session } from "./session";
import { poolAddress } from "./snat-pool";
import { quotedTarget, target } from "./target";

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
  const translated = s.kind == VirtualServer.EGRESS_IPV4_NAT46;
  target.sourceLo = translated ? 0 : packet.sourceLo;
  target.sourceHi = translated ? mappedHi(s.seen4BE) : packet.sourceHi;
  target.destinationLo = s.innerLo;
  target.destinationHi = s.innerHi;
  target.sourcePortBE = s.protocol == PROTOCOL_ICMP4 ? s.innerPortBE : packet.sourcePortBE;
  target.destinationPortBE = s.innerPortBE;
  target.delta = s.deltaIn;
}

/** An error from outside quotes what we sent: the quote becomes what the Pod sent. */
export function aimQuoteIn(s: Session): void {
  const translated = s.kind == VirtualServer.EGRESS_IPV4_NAT46;
  quotedTarget.sourceLo = s.innerLo;
  quotedTarget.sourceHi = s.innerHi;
  quotedTarget.destinationLo = translated ? 0 : s.remoteLo;
  quotedTarget.destinationHi = translated ? mappedHi(s.seen4BE) : s.remoteHi;
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
  // deltaIn counts from where return traffic arrives, which under automap isn't the address itself.
  const alias = s.deltaIn == 0 ? 0 : <u32>address.sum + negate(address.inboundSum);
  quotedTarget.delta = fold(<u64>negate(s.deltaIn) + alias);
}
