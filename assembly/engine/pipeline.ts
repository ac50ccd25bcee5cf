/**
 * What happens to a packet, step by step:
 *
 *   parse → classify ─┬─ from a Pod:    DNS? → session, or policy → mapping → new session ─┬→ hop limit, size → send
 *                     ├─ from outside:  session;  none: a Pod's (hairpin) → as above, ─────┤
 *                     │                 or new session (EIF), to the host itself, nowhere  │
 *                     └─ later fragment: the way of its first one, or wait for it ─────────┘
 *
 * Each step answers NONE or the reason to drop.
 */
import { aimIn, aimOut, pathIn, pathOut } from "../core/aim";
import { isForwardable4, isForwardable6, mappedBE } from "../core/address";
import { isOpenToAll } from "../core/behaviour";
import { Path, VirtualServer, countDrop, countPath } from "../core/counters";
import { REFUSED, followFragments, fragmentKey, refuseFragments, rememberFragments } from "../core/fragments";
import { limits } from "../core/limits";
import { lookupMapping } from "../core/mapping";
import { isInNat64Prefix, isNat64, mayRepresent, nat64Host } from "../core/nat64";
import { stateless } from "../core/eam";
import { fits, isSegmented, readOffload, segmentSize } from "../core/offload";
import { FRAGMENT_FIRST, FRAGMENT_LATER, FRAGMENT_NONE, mayBeAnswered, packet, parse } from "../core/packet";
import { PROTOCOL_ICMP4, PROTOCOL_TCP, PROTOCOL_UDP } from "../core/protocol";
import { admitQuestion } from "../core/question-rate";
import { mtuOfTarget } from "../core/path-mtu";
import { rewrite } from "../core/rewrite";
import {
  Session,
  findIn,
  findOut,
  followTcp,
  isCurrent,
  isTranslated,
  made,
  makeSession,
  removeSession,
} from "../core/session";
import { PoolAddress, findInbound, isAutomap, poolAddress } from "../core/snat-pool";
import { isClosing, opensConnection } from "../core/tcp-state";
import { target } from "../core/target";
import { translate46 } from "../core/translate46";
import { mayFragment, translate64 } from "../core/translate64";
import { DropReason, Verdict } from "../core/verdict";
import { FRAGMENT_HEADER } from "../core/wire/fragment";
import { IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER } from "../core/wire/ipv6";
import { TCP_HEADER } from "../core/wire/tcp";
import { DNS_PORT_BE, UDP_HEADER, Udp } from "../core/wire/udp";
import { VNET_HEADER } from "../core/wire/vnet";
import { NO_MARKS, begin, mayMerge, merge, packetMarks } from "./coalesce";
import { isFastPathOpen, takeFastPath } from "./fast-path";
import { IPV6_MINIMUM_MTU, cutAbove, sendFragments } from "./fragmentation";
import { answerFromCache } from "./dns-reply";
import { handBack } from "./hand-back";
import { openInbound, reopenInbound } from "./inbound";
import { heldIp, heldLength, heldSlot, holdFragment, releaseFragment } from "./held-fragments";
import { sendRouteRefused, sendTimeExceeded, sendTooBig } from "./icmp-error";
import { relayIn, relayOut } from "./icmp-relay";
import { isInternal, isInternalDestination, isNatAddress, sourcePolicy } from "./policy";
import { Descriptor, received, spend, transmit } from "./slots";
import { releasedIp, releasedLength, releasedSlot, nowKnown, release, wait } from "./waiting";
import { translateStateless } from "./stateless";
import { writeContext } from "./udp-reply";


let now: u32 = 0;
/** Place of the packet in the receive ring, or -1: it waited and comes from a slot of its own. */
let place: i32 = -1;
let slot: u32 = 0;
/** The packet was kept for later: neither dropped nor sent. */
let kept: bool = false;
/** Session of the UDP datagram in hand that others may join; 0 = none. */
let mergeable: usize = 0;
let marks: u32 = NO_MARKS;
/** The output of this packet is for ourselves. */
let turning: bool = false;
/** It has been turned back once: never twice. */
let turned: bool = false;
/** Of a fragment's way: it turns back. */
const TURNING: u32 = 128;
/** Key of the packet whose first fragment has just found its way; 0 = none. */
let routedKey: u64 = 0;

/** The first `count` places of the receive ring. */
export function receive(count: u32, nowMs: u32): void {
  const fast = isFastPathOpen();
  for (let i: u32 = 0; i < count; i++) {
    const d = received(i);
    if (fast) if (takeFastPath(d, nowMs)) continue;
    take(i, d, nowMs);
  }
}

function take(i: u32, d: Descriptor, nowMs: u32): void {
  now = nowMs;
  place = <i32>i;
  slot = d.slot;
  if (d.length < VNET_HEADER) countDrop(DropReason.IP_TRUNCATED);
  else run(d.address + VNET_HEADER, d.length - VNET_HEADER);
  if (routedKey != 0) releaseFragments();
}

/** What waited for `nat4BE` goes on, now that its mapping is known. */
export function resume(nat4BE: u32, nowMs: u32): void {
  now = nowMs;
  place = -1;
  nowKnown(nat4BE);
  while (release(nat4BE)) {
    slot = releasedSlot;
    run(releasedIp, releasedLength);
    spend(slot);
    if (routedKey != 0) releaseFragments();
  }
}

/** A first fragment has found its way, or none: those that came before it follow. */
function releaseFragments(): void {
  const key = routedKey;
  routedKey = 0;
  place = -1;
  while (releaseFragment(key)) {
    slot = heldSlot;
    run(heldIp, heldLength);
    spend(slot);
  }
}

function run(ip: usize, length: u32): void {
  kept = false;
  turning = false;
  mergeable = 0;
  const reason = step(ip, length);
  if (reason == DropReason.NONE) return;
  countDrop(reason);
  if (packet.fragment == FRAGMENT_FIRST) refuse(reason);
}

/** What belongs to a first fragment that is dropped would only be useless to its receiver. */
function refuse(reason: DropReason): void {
  refuseFragments(reason, routedKey != 0, now);
  if (routedKey == 0) routedKey = fragmentKey();
}

function step(ip: usize, length: u32): DropReason {
  const parsed = parse(ip, length);
  if (packet.icmpError && packet.fragment != FRAGMENT_NONE) return DropReason.FRAGMENT_UNSUPPORTED;
  if (stateless.enabled != 0) return readOffload() ? translateStateless(parsed, now) : DropReason.OFFLOAD_INVALID;
  if (packet.routeField != 0) return refuseRoute(parsed);
  if (parsed != DropReason.NONE) return parsed;
  if (!readOffload()) return DropReason.OFFLOAD_INVALID;
  if (packet.fragment == FRAGMENT_LATER) return laterFragment();
  const pool = findInbound(packet.destinationLo, packet.destinationHi);
  packet.fromOutside = pool >= 0;
  if (packet.icmpError) return pool >= 0 ? errorFromOutside(<u32>pool) : relayOut();
  return pool >= 0 ? fromOutside(<u32>pool) : fromPod();
}

function fromPod(): DropReason {
  if (packet.protocol == PROTOCOL_UDP && packet.destinationPortBE == DNS_PORT_BE) {
    const policy = sourcePolicy();
    if (policy == null) return DropReason.SOURCE_NOT_INTERNAL;
    if (policy.dns) return packet.fragment == FRAGMENT_NONE ? toDns() : DropReason.FRAGMENT_UNSUPPORTED;
  }
  let s = findOut();
  if (s != null && (!isCurrent(s) || reopens(s))) {
    removeSession(s, now);
    s = null;
  }
  if (s == null) {
    const reason = open();
    if (reason != DropReason.NONE || kept) return reason;
    s = made;
  }
  if (packet.hopLimit <= 2 && expires(s)) return expired();
  s.lastSeenMs = now;
  if (packet.protocol == PROTOCOL_TCP) followTcp(s, true);
  if (packet.protocol == PROTOCOL_UDP && !s.hairpin && joins(s, true)) return merged(pathOut(s));
  aimOut(s);
  turning = s.hairpin && !turned;
  if (packet.protocol == PROTOCOL_UDP && !turning) offer(s);
  return route(pathOut(s));
}

function fromOutside(pool: u32): DropReason {
  // An echo request from outside belongs to nobody inside.
  const s = packet.protocol == PROTOCOL_ICMP4 && packet.echoRequest ? changetype<Session>(0) : findIn(pool);
  let reason: DropReason;
  if (s == null || !isCurrent(s)) {
    // From a Pod to one of our own addresses: out, and back in (hairpin).
    // No Pod has an address of the pool, be it inside an internal network.
    const fromPool = findInbound(packet.sourceLo, packet.sourceHi) >= 0;
    if (!turned && !fromPool && !isAutomap(poolAddress(pool)) && sourcePolicy() != null) {
      packet.fromOutside = false;
      return fromPod();
    }
    reason = openInbound(pool, turned, now);
  } else if (isOpenToAll(PROTOCOL_TCP) && reopens(s)) reason = reopenInbound(s, pool, turned, now);
  else return inwards(s);
  if (reason == DropReason.INBOUND_NO_SESSION) return toHost(poolAddress(pool));
  return reason == DropReason.NONE ? inwards(made) : reason;
}

function inwards(s: Session): DropReason {
  s.lastSeenMs = now;
  if (packet.protocol == PROTOCOL_TCP) followTcp(s, false);
  if (packet.protocol == PROTOCOL_UDP && joins(s, false)) return merged(pathIn(s));
  aimIn(s);
  if (packet.protocol == PROTOCOL_UDP) offer(s);
  return route(pathIn(s));
}

/** Part of the output before it. */
function joins(s: Session, outbound: bool): bool {
  marks = packetMarks(outbound);
  return mayMerge(s, marks) && merge(packet.transport + UDP_HEADER, packet.transportLength - UDP_HEADER);
}

/** The next datagrams of the session may join this one. */
function offer(s: Session): void {
  if (marks != NO_MARKS) mergeable = changetype<usize>(s);
}

function laterFragment(): DropReason {
  const way = followFragments(now);
  if (way >= REFUSED) return way - REFUSED;
  if (way != 0) {
    turning = (way & TURNING) != 0 && !turned;
    return send((way & ~TURNING) - 1);
  }
  const ours = findInbound(packet.destinationLo, packet.destinationHi) >= 0 || sourcePolicy() != null;
  if (!ours) return DropReason.SOURCE_NOT_INTERNAL;
  if (place < 0) return DropReason.FRAGMENT_TIMEOUT;
  const length = <u32>(packet.transport - packet.ip) + packet.transportLength;
  return holdFragment(<u32>place, fragmentKey(), packet.ip, length, now);
}

/** By `target`; later fragments take the same way. */
function route(path: Path): DropReason {
  if (packet.fragment == FRAGMENT_FIRST) remember(path);
  return send(path);
}

/** A packet that turns back has a second way; what waits has its first. */
function remember(path: Path): void {
  if (routedKey == 0) routedKey = fragmentKey();
  rememberFragments((path + 1) | (turning ? TURNING : 0), now);
}

/** By `target`, on one of the ways out or in. */
export function send(path: Path): DropReason {
  switch (path) {
    case Path.OUT_46:
      return send46(path, limits.mtuOuter, limits.mtuInner);
    case Path.IN_64:
      return send64(path, limits.mtuOuter, limits.mtuInner);
    case Path.OUT_64:
      return send64(path, limits.mtuInner, limits.mtuOuter);
    case Path.IN_46:
      return send46(path, limits.mtuInner, limits.mtuOuter);
    case Path.OUT_44:
    case Path.OUT_66:
      return sendAsIs(path, limits.mtuOuter);
    case Path.HANDED_BACK:
      return forward(rewrite(limits.mtuOuter, 0), path);
    default:
      return sendAsIs(path, limits.mtuInner);
  }
}

/** The MTUs are those of the IPv6 and the IPv4 side. */
function send46(path: Path, mtu6: u32, mtu4: u32): DropReason {
  if (packet.hopLimit <= 1) return expired();
  const reason = checkFragment();
  if (reason != DropReason.NONE) return reason;
  const header = IPV6_HEADER + (packet.fragment != FRAGMENT_NONE ? FRAGMENT_HEADER : 0);
  const segment = maxSegment(mtu6 - IPV6_HEADER, mtu4 - IPV4_HEADER);
  const mayCut = !Ipv4.at(packet.ip).dontFragment && !isSegmented();
  const mtu = mtuOfTarget(header, mtu6);
  const most = mayCut ? cutAbove(mtu) : mtu;
  if (fits(header, most)) return forward(translate46(mtu, segment), path);
  if (!mayCut) return tooBig(mtu - (IPV6_HEADER - IPV4_HEADER));
  // A whole packet becomes fragments here: their identification must be nobody else's.
  if (packet.fragment == FRAGMENT_NONE) rememberFragments(path + 1, now);
  const length = <u32>(packet.transport - packet.ip) + packet.transportLength;
  const sent = sendFragments(translate46(mtu, segment), most);
  if (sent == DropReason.NONE) countPath(path, length);
  return sent;
}

function send64(path: Path, mtu6: u32, mtu4: u32): DropReason {
  if (packet.hopLimit <= 1) return expired();
  const reason = checkFragment();
  if (reason != DropReason.NONE) return reason;
  const size = packet.fragmentOffset + packet.transportLength + IPV4_HEADER;
  const mtu = mtuOfTarget(IPV4_HEADER, mtu4);
  // RFC 7915 §5.1, §5.1.1: what gets DF=0 the kernel fragments (further).
  if (size > 0xffff || !(packet.fragmentHeader || mayFragment() || fits(IPV4_HEADER, mtu)))
    return tooBig(max(IPV6_MINIMUM_MTU, mtu + (IPV6_HEADER - IPV4_HEADER)));
  return forward(translate64(mtu, maxSegment(mtu6 - IPV6_HEADER, mtu4 - IPV4_HEADER)), path);
}

function sendAsIs(path: Path, byDefault: u32): DropReason {
  const mtu = mtuOfTarget(<u32>(packet.transport - packet.ip), byDefault);
  if (!fitsAsIs(mtu)) return tooBig(mtu);
  const header = packet.family == 4 ? IPV4_HEADER : IPV6_HEADER;
  return forward(rewrite(mtu, maxSegment(limits.mtuOuter - header, limits.mtuInner - header)), path);
}

/** What can't be translated between IP versions in pieces. */
function checkFragment(): DropReason {
  if (packet.fragment == FRAGMENT_NONE) return DropReason.NONE;
  // ICMPv6 sums the length of the whole message, which no fragment tells.
  if (packet.protocol == PROTOCOL_ICMP4) return DropReason.FRAGMENT_UNSUPPORTED;
  // RFC 7915 §4.5: the checksum of the whole datagram can't be known.
  const unsummed =
    packet.fragment == FRAGMENT_FIRST && packet.protocol == PROTOCOL_UDP && Udp.at(packet.transport).checksum == 0;
  return unsummed ? DropReason.UDP_CHECKSUM_MISSING : DropReason.NONE;
}

function errorFromOutside(pool: u32): DropReason {
  const reason = relayIn(pool);
  if (reason != DropReason.ICMP_ERROR_NO_SESSION && reason != DropReason.ICMP_QUOTE_INVALID) return reason;
  // Under automap an error may be about a packet of the host's own.
  if (isAutomap(poolAddress(pool))) return toHost(poolAddress(pool));
  // From a Pod about what came to it from one of our own addresses (hairpin).
  return sourcePolicy() != null ? relayOut() : reason;
}

/** A SYN over a session that is ending starts a new connection (RFC 6146 §3.5.2.2). */
// @ts-ignore: decorator
@inline
function reopens(s: Session): bool {
  return packet.protocol == PROTOCOL_TCP && isClosing(s.tcpState) && opensConnection(packet.tcpFlags);
}

/** No session yet: may this packet open one? */
function open(): DropReason {
  const policy = sourcePolicy();
  if (policy == null) return DropReason.SOURCE_NOT_INTERNAL;
  if (!policy.active) return DropReason.EGRESS_NOT_CONFIGURED;
  if (packet.protocol == PROTOCOL_TCP && !opensConnection(packet.tcpFlags)) return DropReason.TCP_NO_SESSION;
  if (packet.protocol == PROTOCOL_ICMP4 && !packet.echoRequest) return DropReason.ICMP_TYPE_UNSUPPORTED;
  if (packet.family == 6) {
    if (isInNat64Prefix(packet.destinationLo, packet.destinationHi)) return open64();
    if (!policy.dualStack) return DropReason.DUAL_STACK_DISABLED;
    if (!isForwardable6(packet.destinationLo)) return DropReason.DESTINATION_NOT_FORWARDABLE;
    if (isInternalDestination()) return DropReason.DESTINATION_INTERNAL;
    return makeSession(VirtualServer.EGRESS_IPV6, packet.destinationLo, packet.destinationHi, now);
  }
  const destinationBE = mappedBE(packet.destinationHi);
  if (!isForwardable4(bswap<u32>(destinationBE))) return DropReason.DESTINATION_NOT_FORWARDABLE;
  const mapping = lookupMapping(destinationBE);
  if (mapping != null) {
    if (!isForwardable6(mapping.hostLo)) return DropReason.DESTINATION_NOT_FORWARDABLE;
    return makeSession(VirtualServer.EGRESS_IPV4_NAT46, mapping.hostLo, mapping.hostHi, now);
  }
  if (isNatAddress(packet.destinationLo, packet.destinationHi)) return keep(destinationBE);
  if (isInternalDestination()) return DropReason.DESTINATION_INTERNAL;
  return makeSession(VirtualServer.EGRESS_IPV4, packet.destinationLo, packet.destinationHi, now);
}

/** From an IPv6 Pod to an IPv4 host. */
function open64(): DropReason {
  if (!isNat64(packet.destinationLo, packet.destinationHi)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  const hostHi = nat64Host(packet.destinationLo, packet.destinationHi);
  const host = bswap<u32>(mappedBE(hostHi));
  // An address of the DNS46 pool stands for an IPv6 host, to which there is a way without two translations.
  if (!isForwardable4(host) || isNatAddress(0, hostHi)) return DropReason.DESTINATION_NOT_FORWARDABLE;
  if (!mayRepresent(host)) return DropReason.NAT64_NOT_GLOBAL;
  if (isInternal(0, hostHi)) return DropReason.DESTINATION_INTERNAL;
  return makeSession(VirtualServer.EGRESS_IPV6_NAT64, 0, hostHi, now);
}

/** Unknown address of a DNS46 pool: the packet waits while the host asks the store. */
function keep(nat4BE: u32): DropReason {
  if (place < 0) return DropReason.MAPPING_UNKNOWN;
  const length = <u32>(packet.transport - packet.ip) + packet.transportLength;
  kept = true;
  return wait(<u32>place, nat4BE, packet.ip, length, now);
}

function forward(ip: usize, path: Path): DropReason {
  const length = <u32>(packet.transport - ip) + packet.transportLength;
  // The address may have been taken away since the session began.
  if (turning && findInbound(target.destinationLo, target.destinationHi) >= 0) return turnBack(ip, length, path);
  if (!transmit(ip - VNET_HEADER, length + VNET_HEADER, Verdict.FORWARD, slot, 0)) return DropReason.OUTPUT_FULL;
  if (mergeable != 0) begin(changetype<Session>(mergeable), ip, packet.transport, packet.transportLength, marks);
  countPath(path, length);
  return DropReason.NONE;
}

/** The datagram went into the output before it. */
function merged(path: Path): DropReason {
  const six = path == Path.OUT_46 || path == Path.IN_46 || path == Path.OUT_66 || path == Path.IN_66;
  countPath(path, (six ? IPV6_HEADER : IPV4_HEADER) + packet.transportLength);
  return DropReason.NONE;
}

/** RFC 4787 REQ-9: what goes to one of our own addresses comes in there, with its outer source. */
function turnBack(ip: usize, length: u32, path: Path): DropReason {
  turning = false;
  turned = true;
  const reason = step(ip, length);
  turned = false;
  if (reason == DropReason.NONE) countPath(path, length);
  return reason;
}

/** A super-packet holds several questions; those go to the host. */
function toDns(): DropReason {
  const context = writeContext();
  const alone = !isSegmented();
  let payload = packet.transport + UDP_HEADER;
  let rest = packet.transportLength - UDP_HEADER;
  do {
    const length = alone ? rest : min(rest, segmentSize());
    if (!admitQuestion(now)) countDrop(DropReason.DNS_RATE_LIMITED);
    else {
      if (!(alone && answerFromCache(payload, length, context, slot, now)))
        if (!transmit(payload, length, Verdict.DNS, slot, <u32>changetype<usize>(context)))
          return DropReason.OUTPUT_FULL;
      countPath(Path.DNS, length);
    }
    payload += length;
    rest -= length;
  } while (rest > 0);
  return DropReason.NONE;
}

/** Under automap the address is the host's own: what isn't a session of ours is for the host's sockets. */
function toHost(address: PoolAddress): DropReason {
  if (!isAutomap(address)) return DropReason.INBOUND_NO_SESSION;
  if (packet.fragment == FRAGMENT_FIRST) {
    target.sourceLo = packet.sourceLo;
    target.sourceHi = packet.sourceHi;
    target.destinationLo = address.lo;
    target.destinationHi = address.hi;
    remember(Path.HANDED_BACK);
  }
  return forward(handBack(address), Path.HANDED_BACK);
}

/**
 * Translation counts as a hop (RFC 7915 §4.1). Under automap so must the kernel's hop behind us: its own error would be
 * to itself and never come back here.
 */
function expires(s: Session): bool {
  const translated = isTranslated(s.kind) ? 1 : 0;
  const behind = isAutomap(poolAddress(s.pool)) ? 1 : 0;
  return packet.hopLimit <= <u32>(translated + behind);
}

function expired(): DropReason {
  if (packet.fragment == FRAGMENT_LATER) return DropReason.HOP_LIMIT_EXPIRED;
  restoreDestination();
  sendTimeExceeded(now);
  return DropReason.HOP_LIMIT_EXPIRED;
}

/** Only Pods are told: an answer to anybody would be a reflector. */
function refuseRoute(reason: DropReason): DropReason {
  packet.fromOutside = false;
  if (mayBeAnswered() && sourcePolicy() != null) sendRouteRefused(now);
  return reason;
}

function tooBig(mtu: u32): DropReason {
  if (packet.fragment == FRAGMENT_LATER) return DropReason.PACKET_TOO_BIG;
  restoreDestination();
  sendTooBig(mtu, now);
  return DropReason.PACKET_TOO_BIG;
}

/** An error to the outside quotes what was sent there: under automap to the address itself, not to its alias. */
function restoreDestination(): void {
  if (!packet.fromOutside) return;
  const pool = findInbound(packet.destinationLo, packet.destinationHi);
  if (pool >= 0) handBack(poolAddress(pool));
}

/** Same family: the header keeps its size. Without DF the kernel fragments what is too big. */
function fitsAsIs(mtu: u32): bool {
  if (fits(<u32>(packet.transport - packet.ip), mtu)) return true;
  return packet.family == 4 && !Ipv4.at(packet.ip).dontFragment;
}

/** Largest TCP payload that fits both links (RFC 6691: options don't count); the room behind the IP headers there. */
// @ts-ignore: decorator
@inline
function maxSegment(room: u32, otherRoom: u32): u32 {
  // RFC 7915 leaves the transport's options alone, and so does a translator without state.
  if (stateless.enabled != 0) return 0xffff;
  return min(room, otherRoom) - TCP_HEADER;
}
