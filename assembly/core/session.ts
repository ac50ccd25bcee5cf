/**
 * Sessions (RFC 6146 §3.1): one per flow, found from inside by the 5-tuple that the Pod uses and from outside by the
 * 5-tuple on the external wire. No two live ones have either in common.
 *
 * The 64 bytes that each packet needs fill one cache line; what only set-up and expiry need is kept apart.
 */
import { mappedBE } from "./address";
import { powerOfTwo, reserve } from "./arena";
import { isMappedIndependently } from "./behaviour";
import { Binding, findBinding, isBinding, makeBinding, releaseBinding } from "./bib";
import { fold, negate, sum32, sumAddress } from "./checksum";
import { Destination, destinationOf, dropUnused, forgetPort, forgetUnnoted, notePort } from "./destination";
import { VirtualServer, countSession, sessionsAlive } from "./counters";
import { mix } from "./hash";
import { limits } from "./limits";
import { isNat64, nat64Hi, nat64Host, nat64Lo } from "./nat64";
import { packet } from "./packet";
import { countPod, mayOpen, releasePod } from "./pod";
import { countAllocated, countExhausted, countReleased } from "./pool-use";
import { choosePorts, chosenFirst, chosenLast, chosenPool } from "./port-choice";
import { ANY_PORT, portHash, preferredPorts, probeStep, takePort } from "./port-pool";
import { PROTOCOL_ICMP4, PROTOCOL_TCP } from "./protocol";
import { quoted } from "./quote";
import { initSessionLog, logChanged, logCreated, logEnded, sessionLog } from "./session-log";
import { PoolAddress, comesBack, poolAddress } from "./snat-pool";
import { TcpState, isClosing, isOpening, nextTcpState } from "./tcp-state";
import { DropReason } from "./verdict";

@unmanaged
@final
export class Session {
  innerLo: u64;
  innerHi: u64;
  /** The remote end on the external wire. */
  remoteLo: u64;
  remoteHi: u64;
  /** The IPv4 destination that the Pod uses, wire order; 0 in a session of an IPv6 Pod. */
  seen4BE: u32;
  innerPortBE: u16;
  remotePortBE: u16;
  outerPortBE: u16;
  pool: u16;
  /** 0 = free place. */
  protocol: u8;
  /** A VirtualServer. */
  kind: u8;
  tcpState: u8;
  /** Its packets come back to us: the remote end is a pool address of ours (RFC 4787 REQ-9). */
  hairpin: bool;
  /** Engine time of the last packet that keeps it alive. Others may write it, too: docs/decisions/session-stream.md. */
  lastSeenMs: u32;
  /** What the addresses add to the transport checksum, each way (folded). */
  deltaOut: u16;
  deltaIn: u16;
  nextOut: usize;
  nextIn: usize;

  /** Address of the 16 bytes of the remote end. */
  @inline get remote(): usize {
    return changetype<usize>(this) + offsetof<Session>("remoteLo");
  }
  /** Both ports as the Pod's packets have them: the first four bytes of their transport header. */
  @inline get ports(): u32 {
    return load<u32>(changetype<usize>(this), offsetof<Session>("innerPortBE"));
  }
  /** Both ports as packets from outside have them. */
  @inline get outerPorts(): u32 {
    return load<u32>(changetype<usize>(this), offsetof<Session>("remotePortBE"));
  }
}
if (offsetof<Session>() != 64) ERROR("Session must be 64 bytes");

@unmanaged
@final
export class SessionCold {
  /** A Binding or, where ports depend on the remote end, a Destination; 0 when there was no room for one. */
  binding: usize;
  poolGeneration: u16;
  reserved: u16;
  createdMs: u32;
  /** Record of the Pod; 0 = the session isn't counted. */
  pod: u32;
}
if (offsetof<SessionCold>() != 16) ERROR("SessionCold must be 16 bytes");

let table: usize = 0;
let colds: usize = 0;
let outBuckets: usize = 0;
let inBuckets: usize = 0;
let mask: u32 = 0;
let max: u32 = 0;
let used: u32 = 0;
let free: usize = 0;
let sweepAt: u32 = 0;

export function initSessions(count: u32): bool {
  max = count;
  mask = powerOfTwo(count) - 1;
  table = reserve(<u64>count << 6);
  colds = reserve(<u64>count << 4);
  outBuckets = reserve((<u64>mask + 1) << 2);
  inBuckets = reserve((<u64>mask + 1) << 2);
  return table != 0 && colds != 0 && outBuckets != 0 && inBuckets != 0 && initSessionLog(count);
}

/** Where the tables are, for the host. */
export function sessionTable(): usize {
  return table;
}
export function coldTable(): usize {
  return colds;
}

// @ts-ignore: decorator
@inline
function placeOf(s: Session): u32 {
  return <u32>((changetype<usize>(s) - table) >> 6);
}

// @ts-ignore: decorator
@inline
function coldOf(s: Session): SessionCold {
  return changetype<SessionCold>(colds + ((changetype<usize>(s) - table) >> 2));
}

// @ts-ignore: decorator
@inline
function portsWord(ports: u32, protocol: u32, pool: u32): u64 {
  return ((<u64>((pool << 8) | protocol)) << 32) | ports;
}

// @ts-ignore: decorator
@inline
function outBucket4(innerBE: u32, seen4BE: u32, ports: u32, protocol: u32): usize {
  const h = mix(((<u64>innerBE << 32) | seen4BE) ^ mix(portsWord(ports, protocol, 0)));
  return outBuckets + ((<usize>h & mask) << 2);
}

// @ts-ignore: decorator
@inline
function outBucket6(
  innerLo: u64,
  innerHi: u64,
  remoteLo: u64,
  remoteHi: u64,
  ports: u32,
  protocol: u32,
): usize {
  const far = mix(remoteLo ^ mix(remoteHi ^ portsWord(ports, protocol, 0)));
  return outBuckets + ((<usize>mix(innerLo ^ mix(innerHi ^ far)) & mask) << 2);
}

// @ts-ignore: decorator
@inline
function inBucket(
  pool: u32,
  ports: u32,
  remoteLo: u64,
  remoteHi: u64,
  protocol: u32,
): usize {
  const h = mix(remoteLo ^ mix(remoteHi ^ portsWord(ports, protocol, pool)));
  return inBuckets + ((<usize>h & mask) << 2);
}

/** An ICMP query has one identifier: it stands in the port's place, the remote port is 0. */
// @ts-ignore: decorator
@inline
function remotePortOf(protocol: u32, portBE: u32): u32 {
  return protocol == PROTOCOL_ICMP4 ? 0 : portBE;
}

/** The session of the parsed packet, coming from a Pod; null = none. */
export function findOut(): Session | null {
  return findFromPod(
    packet.family,
    packet.sourceLo,
    packet.sourceHi,
    packet.destinationLo,
    packet.destinationHi,
    packet.sourcePortBE | (remotePortOf(packet.protocol, packet.destinationPortBE) << 16),
    packet.protocol,
  );
}

/** The session of a packet that a Pod got and quotes in an ICMP error. */
export function findQuotedByPod(): Session | null {
  return findFromPod(
    quoted.family,
    quoted.destinationLo,
    quoted.destinationHi,
    quoted.sourceLo,
    quoted.sourceHi,
    quoted.destinationPortBE | (remotePortOf(quoted.protocol, quoted.sourcePortBE) << 16),
    quoted.protocol,
  );
}

/** By what the Pod's packets have in them; addresses as address.ts forms them. */
// @ts-ignore: decorator
@inline
export function findFromPod(
  family: u32,
  innerLo: u64,
  innerHi: u64,
  farLo: u64,
  farHi: u64,
  ports: u32,
  protocol: u32,
): Session | null {
  if (family == 4) {
    const seen = mappedBE(farHi);
    // 0 marks sessions of IPv6 Pods.
    if (seen == 0) return null;
    let p = load<u32>(outBucket4(mappedBE(innerHi), seen, ports, protocol));
    while (p != 0) {
      const s = changetype<Session>(p);
      // One jump each: a condition with && becomes a number first.
      if (s.ports == ports) if (s.innerHi == innerHi) if (s.seen4BE == seen) if (s.protocol == protocol) return s;
      p = <u32>s.nextOut;
    }
    return null;
  }
  // No IPv6 packet has an address of ::ffff:0:0/96: sessions to the IPv4 host itself can't be meant.
  if (isNat64(farLo, farHi)) {
    farHi = nat64Host(farLo, farHi);
    farLo = 0;
  }
  let p = load<u32>(outBucket6(innerLo, innerHi, farLo, farHi, ports, protocol));
  while (p != 0) {
    const s = changetype<Session>(p);
    if (s.ports == ports)
      if (s.innerHi == innerHi)
        if (s.innerLo == innerLo)
          if (s.remoteHi == farHi)
            if (s.remoteLo == farLo) if (s.seen4BE == 0) if (s.protocol == protocol) return s;
    p = <u32>s.nextOut;
  }
  return null;
}

/** The session of the parsed packet, coming from outside to pool address `pool`; null = none. */
export function findIn(pool: u32): Session | null {
  return findInbound(
    pool,
    remotePortOf(packet.protocol, packet.sourcePortBE) | (packet.destinationPortBE << 16),
    packet.sourceLo,
    packet.sourceHi,
    packet.protocol,
  );
}

/** The session of a packet that we sent from `pool` and that an ICMP error from outside quotes. */
export function findQuotedFromOutside(pool: u32): Session | null {
  const address = poolAddress(pool);
  if (quoted.sourceLo != address.lo || quoted.sourceHi != address.hi) return null;
  return findInbound(
    pool,
    remotePortOf(quoted.protocol, quoted.destinationPortBE) | (quoted.sourcePortBE << 16),
    quoted.destinationLo,
    quoted.destinationHi,
    quoted.protocol,
  );
}

/** By what packets to pool address `pool` have in them. */
// @ts-ignore: decorator
@inline
export function findInbound(
  pool: u32,
  ports: u32,
  remoteLo: u64,
  remoteHi: u64,
  protocol: u32,
): Session | null {
  let p = load<u32>(inBucket(pool, ports, remoteLo, remoteHi, protocol));
  while (p != 0) {
    const s = changetype<Session>(p);
    if (s.outerPorts == ports)
      if (s.remoteHi == remoteHi)
        if (s.remoteLo == remoteLo) if (s.pool == pool) if (s.protocol == protocol) return s;
    p = <u32>s.nextIn;
  }
  return null;
}

/** Places that the sweep has yet to visit since a pool address was taken away. */
let unswept: u32 = 0;

/** A pool address is gone: until the sweep has been everywhere, sessions are checked as packets use them. */
export function expectOrphans(): void {
  unswept = used;
}

/** Every session's pool address is there. */
// @ts-ignore: decorator
@inline
export function areAllCurrent(): bool {
  return unswept == 0;
}

/** False when the session's pool address was taken away. */
// @ts-ignore: decorator
@inline
export function isCurrent(s: Session): bool {
  return unswept == 0 || hasPoolAddress(s);
}

function hasPoolAddress(s: Session): bool {
  return coldOf(s).poolGeneration == poolAddress(s.pool).generation;
}

/** Sessions of the kind are dead from here on; they are swept. */
export function endSessions(kind: VirtualServer): void {
  for (let i: u32 = 0; i < used; i++) {
    const s = changetype<Session>(table + (<usize>i << 6));
    if (s.protocol == 0 || s.kind != kind) continue;
    // What removeSession counts of a session whose address is there; bindings have a generation of their own.
    if (hasPoolAddress(s) && !isBinding(coldOf(s).binding)) countReleased(s.pool, s.protocol);
    // Generations only go up: this one doesn't come again.
    coldOf(s).poolGeneration = <u16>(poolAddress(s.pool).generation - 1);
  }
  expectOrphans();
}

/** IP version of the session's packets on the external wire. */
// @ts-ignore: decorator
@inline
export function outerFamily(kind: VirtualServer): u32 {
  return kind == VirtualServer.EGRESS_IPV4 || kind == VirtualServer.EGRESS_IPV6_NAT64 ? 4 : 6;
}

/** Its packets change the IP version. */
// @ts-ignore: decorator
@inline
export function isTranslated(kind: VirtualServer): bool {
  return kind == VirtualServer.EGRESS_IPV4_NAT46 || kind == VirtualServer.EGRESS_IPV6_NAT64;
}

/** What makeSession made. */
export let made: Session = changetype<Session>(0);

export function setMade(s: Session): void {
  made = s;
}

/**
 * A session for the parsed packet of a Pod. `kind` says which way it goes, remote is the destination on the external
 * wire. DropReason.NONE: the session is in `made`.
 */
export function makeSession(kind: VirtualServer, remoteLo: u64, remoteHi: u64, nowMs: u32): DropReason {
  if (free == 0 && used == max) return DropReason.SESSION_TABLE_FULL;
  const refused = mayOpen(packet.sourceLo, packet.sourceHi, false);
  if (refused != DropReason.NONE) return refused;
  const s = takePlace();
  s.innerLo = packet.sourceLo;
  s.innerHi = packet.sourceHi;
  s.innerPortBE = <u16>packet.sourcePortBE;
  s.seen4BE = packet.family == 4 ? mappedBE(packet.destinationHi) : 0;
  s.remoteLo = remoteLo;
  s.remoteHi = remoteHi;
  s.remotePortBE = <u16>remotePortOf(packet.protocol, packet.destinationPortBE);
  s.protocol = <u8>packet.protocol;
  s.kind = <u8>kind;
  const reason = isMappedIndependently(s.protocol) ? mapIndependently(s) : mapByRemote(s);
  if (reason == DropReason.NONE) enter(s, TcpState.INIT, nowMs);
  else givePlace(s);
  return reason;
}

/**
 * A session for the parsed packet, which comes from outside to a binding without one (endpoint-independent filtering).
 * DropReason.NONE: the session is in `made`.
 */
export function makeInboundSession(kind: VirtualServer, b: Binding, nowMs: u32): DropReason {
  // Outsiders don't get the last quarter of the table: it is for the Pods.
  if ((free == 0 && used == max) || sessionsAlive() >= max - (max >> 2)) return DropReason.SESSION_TABLE_FULL;
  const refused = mayOpen(b.innerLo, b.innerHi, true);
  if (refused != DropReason.NONE) return refused;
  const s = takePlace();
  s.innerLo = b.innerLo;
  s.innerHi = b.innerHi;
  s.innerPortBE = b.innerPortBE;
  s.seen4BE = kind == VirtualServer.EGRESS_IPV4 ? mappedBE(packet.sourceHi) : 0;
  s.remoteLo = packet.sourceLo;
  s.remoteHi = packet.sourceHi;
  s.remotePortBE = <u16>remotePortOf(packet.protocol, packet.sourcePortBE);
  s.protocol = <u8>packet.protocol;
  s.kind = <u8>kind;
  join(s, b);
  enter(s, TcpState.OUTER_INIT, nowMs);
  return DropReason.NONE;
}

/** A free place of the table, of which there is one. */
function takePlace(): Session {
  const p = free;
  if (p != 0) {
    free = changetype<Session>(p).nextOut;
    return changetype<Session>(p);
  }
  // The sweep passes this place as well before it comes to those that it began behind.
  if (unswept != 0) unswept++;
  sessionLog.places = used + 1;
  return changetype<Session>(table + (<usize>(used++) << 6));
}

function givePlace(s: Session): void {
  s.protocol = 0;
  s.nextOut = free;
  free = changetype<usize>(s);
}

/** An outer port by the inner endpoint alone. */
function mapIndependently(s: Session): DropReason {
  const family = outerFamily(s.kind);
  let binding = findBinding(null, s.innerLo, s.innerHi, s.innerPortBE, s.protocol, family);
  // Two NAT addresses of one host: towards it the endpoint needs a second outer port, or replies were ambiguous.
  while (binding != null && isTaken(binding, s))
    binding = findBinding(binding, s.innerLo, s.innerHi, s.innerPortBE, s.protocol, family);
  if (binding == null) {
    const reason = choosePorts(family, s.innerLo, s.innerHi);
    if (reason != DropReason.NONE) return reason;
    binding = makeBinding(s.innerLo, s.innerHi, s.innerPortBE, s.protocol, family);
    if (binding == null) {
      countExhausted(chosenPool, s.protocol);
      return DropReason.SNAT_PORTS_EXHAUSTED;
    }
  }
  join(s, binding);
  return DropReason.NONE;
}

function join(s: Session, b: Binding): void {
  b.sessions++;
  s.pool = b.pool;
  s.outerPortBE = b.outerPortBE;
  coldOf(s).binding = changetype<usize>(b);
}

/** An outer port that no other session has towards the remote end. */
function mapByRemote(s: Session): DropReason {
  const reason = choosePorts(outerFamily(s.kind), s.innerLo, s.innerHi);
  if (reason != DropReason.NONE) return reason;
  const destination = destinationOf(chosenPool, s.remoteLo, s.remoteHi, s.remotePortBE, s.protocol);
  const port = takePortTowards(destination, s);
  if (port == 0) {
    if (destination != null) dropUnused(destination);
    countExhausted(chosenPool, s.protocol);
    return DropReason.SNAT_PORTS_EXHAUSTED;
  }
  if (destination != null) notePort(destination, port);
  countAllocated(chosenPool, s.protocol);
  s.pool = <u16>chosenPool;
  s.outerPortBE = bswap<u16>(<u16>port);
  coldOf(s).binding = changetype<usize>(destination);
  return DropReason.NONE;
}

/** Both ends, protocol, kind, port and binding are there. */
function enter(s: Session, state: TcpState, nowMs: u32): void {
  const address = poolAddress(s.pool);
  s.tcpState = <u8>state;
  s.hairpin = comesBack(s.remoteLo, s.remoteHi, bswap<u16>(s.remotePortBE));
  s.lastSeenMs = nowMs;
  setDeltas(s, address);
  const cold = coldOf(s);
  cold.poolGeneration = <u16>address.generation;
  cold.createdMs = nowMs;
  cold.pod = countPod(s.innerLo, s.innerHi);

  const p = <u32>changetype<usize>(s);
  const outer = outBucketOf(s);
  s.nextOut = load<u32>(outer);
  store<u32>(outer, p);
  const inner = inBucketOf(s);
  s.nextIn = load<u32>(inner);
  store<u32>(inner, p);
  countSession(s.kind, 1);
  logCreated(placeOf(s), state);
  made = s;
}

/** Another session has the binding's outer port towards the remote end already. */
function isTaken(b: Binding, s: Session): bool {
  const ports = s.remotePortBE | (<u32>b.outerPortBE << 16);
  const other = findInbound(b.pool, ports, s.remoteLo, s.remoteHi, s.protocol);
  return other != null && hasPoolAddress(other);
}

/** Of what choosePorts chose, a port that no session uses towards its remote end (RFC 7857 §2.5), in host order; 0 = none. */
function takePortTowards(d: Destination | null, s: Session): u32 {
  const word = portsWord(s.ports, s.protocol, 0);
  const hash = portHash(s.innerLo, s.innerHi, s.remoteLo, s.remoteHi, word);
  const preferred = preferredPorts(s.protocol, s.innerPortBE);
  if (d != null && d.bitmap != 0) {
    // Not in the bitmap: ports of sessions that found no record, or got theirs while no bitmap was free.
    for (let i = chosenFirst; i <= chosenLast; i++) {
      const port = takePort(d.bitmap, chosenFirst, chosenLast, hash, preferred);
      if (port == 0 || isUnused(port, s)) return port;
    }
    return 0;
  }
  if (preferred == ANY_PORT) return probe(chosenFirst, 1, hash, s);
  // Every second port: those of the inner port's parity, then the others.
  const odd = ((s.innerPortBE >> 8) ^ chosenFirst) & 1;
  const port = probe(chosenFirst + odd, 2, hash, s);
  return port != 0 ? port : probe(chosenFirst + (odd ^ 1), 2, hash, s);
}

// @ts-ignore: decorator
@inline
function isUnused(port: u32, s: Session): bool {
  const ports = s.remotePortBE | (<u32>bswap<u16>(<u16>port) << 16);
  return findInbound(chosenPool, ports, s.remoteLo, s.remoteHi, s.protocol) == null;
}

/** A port that is free among first, first + stride, … up to the last chosen one, in a keyed order; 0 = none. */
function probe(first: u32, stride: u32, hash: u64, s: Session): u32 {
  if (first > chosenLast) return 0;
  const count = (chosenLast - first) / stride + 1;
  let offset = <u32>(hash % count);
  const step = probeStep(count, hash);
  for (let i: u32 = 0; i < count; i++) {
    const port = first + offset * stride;
    if (isUnused(port, s)) return port;
    offset += step;
    if (offset >= count) offset -= count;
  }
  return 0;
}

/** ICMPv4 has no pseudo-header: its checksum feels the addresses only where ICMPv6 stands on one of the two sides. */
function setDeltas(s: Session, address: PoolAddress): void {
  const icmp = s.protocol == PROTOCOL_ICMP4;
  if (s.kind == VirtualServer.EGRESS_IPV4_NAT46) {
    const remote = sumAddress(s.remoteLo, s.remoteHi);
    const inner = icmp ? 0 : fold(<u64>sum32(mappedBE(s.innerHi)) + sum32(s.seen4BE));
    s.deltaOut = <u16>fold(<u64>address.sum + remote + negate(inner));
    s.deltaIn = <u16>fold(<u64>inner + negate(remote) + negate(address.inboundSum));
  } else if (s.kind == VirtualServer.EGRESS_IPV6_NAT64) {
    const remoteBE = mappedBE(s.remoteHi);
    const inner = <u64>sumAddress(s.innerLo, s.innerHi) + sumAddress(nat64Lo(remoteBE), nat64Hi(remoteBE));
    const remote: u64 = icmp ? 0 : sum32(remoteBE);
    s.deltaOut = <u16>fold((icmp ? 0 : address.sum) + remote + negate(fold(inner)));
    s.deltaIn = <u16>fold(inner + negate(icmp ? 0 : fold(remote + address.inboundSum)));
  } else {
    const inner =
      s.kind == VirtualServer.EGRESS_IPV4 ? sum32(mappedBE(s.innerHi)) : sumAddress(s.innerLo, s.innerHi);
    const none = icmp && s.kind == VirtualServer.EGRESS_IPV4;
    s.deltaOut = none ? 0 : <u16>fold(<u64>address.sum + negate(inner));
    s.deltaIn = none ? 0 : <u16>fold(<u64>inner + negate(address.inboundSum));
  }
}

function outBucketOf(s: Session): usize {
  return s.seen4BE != 0
    ? outBucket4(mappedBE(s.innerHi), s.seen4BE, s.ports, s.protocol)
    : outBucket6(s.innerLo, s.innerHi, s.remoteLo, s.remoteHi, s.ports, s.protocol);
}

function inBucketOf(s: Session): usize {
  return inBucket(s.pool, s.outerPorts, s.remoteLo, s.remoteHi, s.protocol);
}

function unlink(bucket: usize, s: Session, field: usize): void {
  const p = <u32>changetype<usize>(s);
  let link = bucket;
  while (load<u32>(link) != p) link = <usize>load<u32>(link) + field;
  store<u32>(link, load<u32>(changetype<usize>(s) + field));
}

/** The TCP segment in hand belongs to the session. */
// @ts-ignore: decorator
@inline
export function followTcp(s: Session, outbound: bool): void {
  const state = nextTcpState(s.tcpState, packet.tcpFlags, outbound);
  if (state != s.tcpState) enterTcpState(s, state);
}

function enterTcpState(s: Session, state: u32): void {
  s.tcpState = <u8>state;
  if (state == TcpState.ESTABLISHED || isClosing(state)) logChanged(placeOf(s), state);
}

export function removeSession(s: Session, nowMs: u32): void {
  logEnded(placeOf(s));
  unlink(outBucketOf(s), s, offsetof<Session>("nextOut"));
  unlink(inBucketOf(s), s, offsetof<Session>("nextIn"));
  const cold = coldOf(s);
  releasePod(cold.pod);
  const binding = cold.binding;
  if (isBinding(binding)) {
    releaseBinding(changetype<Binding>(binding), nowMs);
  } else {
    if (hasPoolAddress(s)) countReleased(s.pool, s.protocol);
    const port = bswap<u16>(s.outerPortBE);
    if (binding != 0) forgetPort(changetype<Destination>(binding), port);
    else forgetUnnoted(s.pool, s.remoteLo, s.remoteHi, s.remotePortBE, s.protocol, port);
  }
  countSession(s.kind, -1);
  givePlace(s);
}

/** Idle time after which the session ends, ms. */
function lifetime(s: Session): u32 {
  if (s.protocol != PROTOCOL_TCP) return s.protocol == PROTOCOL_ICMP4 ? limits.icmpMs : limits.udpMs;
  if (isOpening(s.tcpState)) return limits.tcpSynMs;
  return isClosing(s.tcpState) ? limits.tcpTransitoryMs : limits.tcpEstablishedMs;
}

/** Ends idle and orphaned sessions among the next `budget` places. A whole round costs one pass over the used ones. */
export function sweepSessions(nowMs: u32, budget: u32): void {
  const count = min(budget, used);
  for (let i: u32 = 0; i < count; i++) {
    if (sweepAt >= used) sweepAt = 0;
    const s = changetype<Session>(table + (<usize>(sweepAt++) << 6));
    if (s.protocol == 0) continue;
    // Signed: another writer of lastSeenMs may be a little ahead of our clock.
    if (<i32>(nowMs - s.lastSeenMs) > <i32>lifetime(s) || !hasPoolAddress(s)) removeSession(s, nowMs);
  }
  unswept -= min(unswept, count);
}

/** Places of the table in use or in the free list: what a sweep has to look at. */
export function sessionPlaces(): u32 {
  return used;
}
