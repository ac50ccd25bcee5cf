/** ICMP errors about our sessions, from one side to the other. They don't prolong a session's life. */
import { mappedBE, mappedHi } from "../core/address";
import { aimQuoteIn, aimQuoteOut, pathIn, pathOut, seenHi, seenLo } from "../core/aim";
import { Path, VirtualServer, countPath } from "../core/counters";
import { mayRepresent, nat64Hi, nat64Lo } from "../core/nat64";
import { packet, parse } from "../core/packet";
import { mtuInside, mtuOutside } from "../core/path-mtu";
import { parseQuote, quoted } from "../core/quote";
import { Session, findQuotedByPod, findQuotedFromOutside, isCurrent, outerFamily } from "../core/session";
import { comesBack, findInbound, poolAddress } from "../core/snat-pool";
import { quotedTarget, target } from "../core/target";
import { translateError } from "../core/translate-error";
import { DropReason } from "../core/verdict";
import { policies, sourcePolicy } from "./policy";
import { HEADROOM, freeSlot, sendFresh, slotAddress, takeSlot } from "./slots";

/** An error from outside about a packet that left from `pool`. */
export function relayIn(pool: u32): DropReason {
  const reason = parseQuote();
  if (reason != DropReason.NONE) return reason;
  const s = quoted.hasTransport ? findQuotedFromOutside(pool) : null;
  if (s == null || !isCurrent(s)) return DropReason.ICMP_ERROR_NO_SESSION;
  aimQuoteIn(s);
  target.destinationLo = s.innerLo;
  target.destinationHi = s.innerHi;
  target.sourceLo = packet.sourceLo;
  target.sourceHi = packet.sourceHi;
  if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) {
    setRouter6(s);
    return sendError(6, Path.IN_46);
  }
  if (s.kind != VirtualServer.EGRESS_IPV4_NAT46) return sendError(packet.family, pathIn(s));
  // RFC 6791: an IPv6 router has no IPv4 address; only the host itself has, in the Pod's eyes.
  const fromHost = packet.sourceLo == s.remoteLo && packet.sourceHi == s.remoteHi;
  target.sourceLo = 0;
  target.sourceHi = fromHost ? mappedHi(s.seen4BE) : policies.router4Hi;
  return sendError(4, Path.IN_64);
}

/** An IPv4 router has its address behind the NAT64 prefix; one that may not stand there is the gateway's own part. */
function setRouter6(s: Session): void {
  const routerBE = mappedBE(packet.sourceHi);
  const represented = mayRepresent(bswap<u32>(routerBE));
  const own = !represented && policies.self6Lo != 0;
  target.sourceLo = represented ? nat64Lo(routerBE) : own ? policies.self6Lo : seenLo(s);
  target.sourceHi = represented ? nat64Hi(routerBE) : own ? policies.self6Hi : seenHi(s);
}

/** An error from a Pod about a packet that came from outside. */
export function relayOut(): DropReason {
  if (sourcePolicy() == null) return DropReason.SOURCE_NOT_INTERNAL;
  const reason = parseQuote();
  if (reason != DropReason.NONE) return reason;
  // It goes to the sender of what it quotes, or it isn't about that.
  const fits = packet.destinationLo == quoted.sourceLo && packet.destinationHi == quoted.sourceHi;
  const s = fits && quoted.hasTransport ? findQuotedByPod() : null;
  if (s == null || !isCurrent(s)) return DropReason.ICMP_ERROR_NO_SESSION;
  aimQuoteOut(s);
  const address = poolAddress(s.pool);
  target.sourceLo = address.lo;
  target.sourceHi = address.hi;
  target.destinationLo = s.remoteLo;
  target.destinationHi = s.remoteHi;
  return sendError(outerFamily(s.kind), pathOut(s));
}

/** Sends the error in hand, by `target` and `quotedTarget`, as a packet of IP version `family`. */
export function sendError(family: u32, path: Path): DropReason {
  // RFC 4443 §2.4 e: no error about an error, so an expired one goes in silence.
  if (family != packet.family && packet.hopLimit <= 1) return DropReason.HOP_LIMIT_EXPIRED;
  const slot = takeSlot();
  if (slot < 0) return DropReason.OUTPUT_FULL;
  const ip = slotAddress(slot) + HEADROOM;
  const mtuIn = mtuInside(quoted.destinationLo, quoted.destinationHi);
  const mtuOut = mtuOutside(quoted.destinationLo, quoted.destinationHi);
  const sixInside = path == Path.OUT_64 || path == Path.IN_46;
  const length = translateError(ip, family, sixInside ? mtuOut : mtuIn, sixInside ? mtuIn : mtuOut);
  if (length == 0) {
    freeSlot(slot);
    return DropReason.ICMP_TYPE_UNSUPPORTED;
  }
  if (comesBack(target.destinationLo, target.destinationHi, bswap<u16>(<u16>quotedTarget.sourcePortBE)))
    return turnBack(ip, length, slot, findInbound(target.destinationLo, target.destinationHi), path);
  if (!sendFresh(ip, length, slot)) return DropReason.OUTPUT_FULL;
  countPath(path, length);
  return DropReason.NONE;
}

/** RFC 5508 REQ-7 (hairpinning): what goes to one of our own addresses comes in there. */
function turnBack(ip: usize, length: u32, slot: u32, pool: u32, path: Path): DropReason {
  countPath(path, length);
  const parsed = parse(ip, length);
  const reason = parsed != DropReason.NONE ? parsed : relayIn(pool);
  freeSlot(slot);
  return reason;
}
