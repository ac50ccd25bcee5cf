/**
 * Endpoint-independent filtering (RFC 4787 REQ-8, RFC 5382 REQ-3, RFC 6146 §3.5): a packet from outside to a port that a
 * Pod's endpoint has at the moment opens a session, whoever sends it.
 */
import { isForwardable4, isForwardable6, isMapped, mappedBE } from "../core/address";
import { isOpenToAll } from "../core/behaviour";
import { findOuter, releaseBinding } from "../core/bib";
import { VirtualServer } from "../core/counters";
import { lookupMapping } from "../core/mapping";
import { hasNat64, mayRepresent } from "../core/nat64";
import { packet } from "../core/packet";
import { PROTOCOL_ICMP4, PROTOCOL_TCP } from "../core/protocol";
import { Session, findIn, isCurrent, makeInboundSession, removeSession, setMade } from "../core/session";
import { isAutomap, poolAddress } from "../core/snat-pool";
import { opensConnection } from "../core/tcp-state";
import { DropReason } from "../core/verdict";
import { isNatAddress, policyOf, sourcePolicy } from "./policy";

/** NONE: the session is `made`. INBOUND_NO_SESSION: the packet is nobody's. `turned`: it comes from a Pod of ours. */
export function openInbound(pool: u32, turned: bool, nowMs: u32): DropReason {
  const protocol = packet.protocol;
  if (!isOpenToAll(protocol)) return DropReason.INBOUND_NO_SESSION;
  // Under automap the host answers for its address, and what is an answer to it has its identifiers, not ours.
  if (protocol == PROTOCOL_ICMP4 && isAutomap(poolAddress(pool))) return DropReason.INBOUND_NO_SESSION;
  if (protocol == PROTOCOL_TCP && !opensConnection(packet.tcpFlags)) return DropReason.INBOUND_NO_SESSION;
  const binding = findOuter(pool, packet.destinationPortBE, protocol);
  if (binding == null || !mayEnter(turned)) return DropReason.INBOUND_NO_SESSION;
  if (protocol == PROTOCOL_ICMP4 && packet.echoRequest) {
    const s = findIn(pool);
    if (s != null && isCurrent(s)) {
      setMade(s);
      return DropReason.NONE;
    }
  }
  const policy = policyOf(binding.innerLo, binding.innerHi);
  if (policy == null || !policy.active) return DropReason.INBOUND_NO_SESSION;
  const fromPod4 = isMapped(binding.innerLo, binding.innerHi);
  if (packet.family == 4) {
    if (fromPod4) return makeInboundSession(VirtualServer.EGRESS_IPV4, binding, nowMs);
    if (!hasNat64()) return DropReason.INBOUND_NO_SESSION;
    if (!mayRepresent(bswap<u32>(mappedBE(packet.sourceHi)))) return DropReason.NAT64_NOT_GLOBAL;
    return makeInboundSession(VirtualServer.EGRESS_IPV6_NAT64, binding, nowMs);
  }
  if (fromPod4) return DropReason.INBOUND_REMOTE_UNMAPPED;
  if (!policy.dualStack) return DropReason.DUAL_STACK_DISABLED;
  return makeInboundSession(VirtualServer.EGRESS_IPV6, binding, nowMs);
}

/** The same for a SYN over a session that is ending: its place and its port are the new one's, if there is to be one. */
export function reopenInbound(s: Session, pool: u32, turned: bool, nowMs: u32): DropReason {
  const binding = findOuter(pool, packet.destinationPortBE, packet.protocol);
  // Its last session may be this one.
  if (binding != null) binding.sessions++;
  removeSession(s, nowMs);
  const reason = openInbound(pool, turned, nowMs);
  if (binding != null) releaseBinding(binding, nowMs);
  return reason;
}

/** Nobody outside poses as a Pod, or as an address that stands for another host: the Pod's answer would go elsewhere. */
function mayEnter(turned: bool): bool {
  if (!turned && sourcePolicy() != null) return false;
  if (packet.family == 6) return isForwardable6(packet.sourceLo);
  const sourceBE = mappedBE(packet.sourceHi);
  return (
    isForwardable4(bswap<u32>(sourceBE)) &&
    lookupMapping(sourceBE) == null &&
    !isNatAddress(packet.sourceLo, packet.sourceHi)
  );
}
