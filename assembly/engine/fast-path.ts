/**
 * Most packets are whole and plain, and belong to a session under way: they take this straight line over locals. Whatever
 * is out of the ordinary goes through pipeline.ts, which would give the plain ones the same bytes.
 *
 * An offload header that says more than 'the checksum is partial (or verified)' is out of the ordinary.
 */
import { mappedBE, mappedHi } from "../core/address";
import { adjust, negate } from "../core/checksum";
import { Path, VirtualServer, countPath } from "../core/counters";
import { stateless } from "../core/eam";
import { limits } from "../core/limits";
import { nat64Hi, nat64Lo } from "../core/nat64";
import { writePlainOffload } from "../core/offload";
import { routeMtus } from "../core/path-mtu";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../core/protocol";
import { Session, areAllCurrent, findFromPod, findInbound as findSession } from "../core/session";
import { findInbound, poolAddress } from "../core/snat-pool";
import { TcpState } from "../core/tcp-state";
import { writeHeader6 } from "../core/translate46";
import { MAY_FRAGMENT, nextIdentification, writeHeader4 } from "../core/translate64";
import { setPorts } from "../core/transport";
import { Verdict } from "../core/verdict";
import { IPV4_DONT_FRAGMENT_BE, IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "../core/wire/ipv6";
import { TCP_FIN, TCP_HEADER, TCP_RST, TCP_SYN, Tcp } from "../core/wire/tcp";
import { DNS_PORT_BE, UDP_HEADER, Udp } from "../core/wire/udp";
import { VNET_HEADER, VNET_NEEDS_CHECKSUM, Vnet } from "../core/wire/vnet";
import { NO_MARKS, begin, isRun, marksOf, merge, runMarks } from "./coalesce";
import { cutAbove } from "./fragmentation";
import { Descriptor, append, isTransmitFull } from "./slots";

/** At most one hop is ours and one the kernel's behind us: from here on nothing expires. */
const SAFE_HOP_LIMIT: u32 = 3;

/** Whether packets of this batch may take it: the engine keeps sessions, and none of them is dead already. */
export function isFastPathOpen(): bool {
  return stateless.enabled == 0 && areAllCurrent();
}

/** What the host has received. False: nothing was changed, and the pipeline decides. */
// @ts-ignore: decorator
@inline
export function takeFastPath(d: Descriptor, nowMs: u32): bool {
  if (d.length < VNET_HEADER + IPV4_HEADER + UDP_HEADER) return false;
  const ip = d.address + VNET_HEADER;
  const length = d.length - VNET_HEADER;
  const version = load<u8>(ip);
  if (version == 0x45) return fast4(ip, length, d.slot, nowMs);
  if (version >> 4 != 6) return false;
  if (length < IPV6_HEADER + UDP_HEADER) return false;
  return fast6(ip, length, d.slot, nowMs);
}

// One condition a line, and addresses written as `ip + constant`: that compiles to a jump and to an offset each.

function fast4(ip: usize, length: u32, slot: u32, nowMs: u32): bool {
  const header = Ipv4.at(ip);
  const total = header.totalLength;
  if (total < IPV4_HEADER + UDP_HEADER) return false;
  if (total > length) return false;
  if (header.isFragment) return false;
  const ttl: u32 = header.ttl;
  if (ttl < SAFE_HOP_LIMIT) return false;
  const protocol: u32 = header.protocol;
  const rest = total - IPV4_HEADER;
  const ports = load<u32>(ip + IPV4_HEADER);
  if (protocol == PROTOCOL_TCP) {
    if (rest < TCP_HEADER) return false;
    const headerLength = Tcp.at(ip + IPV4_HEADER).headerLength;
    if (headerLength < TCP_HEADER) return false;
    if (headerLength > rest) return false;
    const flags = Tcp.at(ip + IPV4_HEADER).flags;
    if ((flags & 63) == 0) return false;
    if (flags & (TCP_SYN | TCP_FIN | TCP_RST)) return false;
  } else {
    if (protocol != PROTOCOL_UDP) return false;
    if (Udp.at(ip + IPV4_HEADER).length != rest) return false;
    if (Udp.at(ip + IPV4_HEADER).checksum == 0) return false;
    if (ports >> 16 == DNS_PORT_BE) return false;
  }
  if ((ports & 0xffff) == 0) return false;
  if (ports >> 16 == 0) return false;
  const flags: u32 = Vnet.at(ip - VNET_HEADER).flags;
  if (Vnet.at(ip - VNET_HEADER).gsoType != 0) return false;
  if (flags & VNET_NEEDS_CHECKSUM) if (!isPartialOf(ip - VNET_HEADER, IPV4_HEADER, protocol)) return false;
  const source = mappedHi(header.sourceBE);
  const destination = mappedHi(header.destinationBE);
  const pool = findInbound(0, destination);
  if (pool >= 0) {
    const s = findSession(<u32>pool, ports, 0, source, protocol);
    if (s == null) return false;
    return in44(ip, slot, nowMs, s, flags);
  }
  const s = findFromPod(4, 0, source, 0, destination, ports, protocol);
  if (s == null) return false;
  if (s.kind != VirtualServer.EGRESS_IPV4_NAT46) return out44(ip, slot, nowMs, s, flags);
  if (s.hairpin) return false;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (rest + IPV6_HEADER > (header.dontFragment ? limits.mtuOuter : cutAbove(limits.mtuOuter))) return false;
  if (rest + IPV6_HEADER > routeMtus.least) return false;
  const tos: u32 = header.tos;
  let marks = NO_MARKS;
  if (protocol == PROTOCOL_UDP) {
    marks = marksOf(flags, tos, ttl, header.dontFragment, true);
    if (isRun(s)) if (marks == runMarks()) return join(s, Path.OUT_46, rest + IPV6_HEADER, ip + IPV4_HEADER, rest, nowMs);
  }
  const out = ip - (IPV6_HEADER - IPV4_HEADER) - VNET_HEADER;
  if (isTransmitFull()) return false;
  append(out, rest + IPV6_HEADER + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const address = poolAddress(s.pool);
  setPorts(ip + IPV4_HEADER, protocol, s.outerPortBE, ports >> 16, s.deltaOut, s.outerPortBE + negate(ports & 0xffff), flags);
  writeHeader6(out + VNET_HEADER, tos, rest, protocol, ttl - 1, changetype<usize>(address), s.remote);
  writePlainOffload(out, IPV6_HEADER, protocol, flags);
  count(s, Path.OUT_46, rest + IPV6_HEADER, nowMs);
  if (marks != NO_MARKS) begin(s, out + VNET_HEADER, out + VNET_HEADER + IPV6_HEADER, rest, marks);
  return true;
}

function out44(ip: usize, slot: u32, nowMs: u32, s: Session, flags: u32): bool {
  const header = Ipv4.at(ip);
  const protocol: u32 = header.protocol;
  const total = header.totalLength;
  if (s.kind != VirtualServer.EGRESS_IPV4) return false;
  if (s.hairpin) return false;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (total > limits.mtuOuter) return false;
  if (total > routeMtus.least) return false;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, header.tos, header.ttl, header.dontFragment, true) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.OUT_44, total, ip + IPV4_HEADER, total - IPV4_HEADER, nowMs);
  if (isTransmitFull()) return false;
  append(ip - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const ports = load<u32>(ip + IPV4_HEADER);
  setPorts(ip + IPV4_HEADER, protocol, s.outerPortBE, ports >> 16, s.deltaOut, s.outerPortBE + negate(ports & 0xffff), flags);
  header.checksum = <u16>adjust(header.checksum, s.deltaOut);
  header.sourceBE = mappedBE(poolAddress(s.pool).hi);
  writePlainOffload(ip - VNET_HEADER, IPV4_HEADER, protocol, flags);
  count(s, Path.OUT_44, total, nowMs);
  if (marks != NO_MARKS) begin(s, ip, ip + IPV4_HEADER, total - IPV4_HEADER, marks);
  return true;
}

function in44(ip: usize, slot: u32, nowMs: u32, s: Session, flags: u32): bool {
  const header = Ipv4.at(ip);
  const protocol: u32 = header.protocol;
  const total = header.totalLength;
  if (s.kind != VirtualServer.EGRESS_IPV4) return in46(ip, slot, nowMs, s, flags);
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (total > limits.mtuInner) return false;
  if (total > routeMtus.least) return false;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, header.tos, header.ttl, header.dontFragment, false) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.IN_44, total, ip + IPV4_HEADER, total - IPV4_HEADER, nowMs);
  if (isTransmitFull()) return false;
  append(ip - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const ports = load<u32>(ip + IPV4_HEADER);
  setPorts(ip + IPV4_HEADER, protocol, ports & 0xffff, s.innerPortBE, s.deltaIn, s.innerPortBE + negate(ports >> 16), flags);
  header.checksum = <u16>adjust(header.checksum, s.deltaIn);
  header.destinationBE = mappedBE(s.innerHi);
  writePlainOffload(ip - VNET_HEADER, IPV4_HEADER, protocol, flags);
  count(s, Path.IN_44, total, nowMs);
  if (marks != NO_MARKS) begin(s, ip, ip + IPV4_HEADER, total - IPV4_HEADER, marks);
  return true;
}

/** As NAT46's way out is: only EGRESS_IPV6_NAT64 has another side of IPv6. */
function in46(ip: usize, slot: u32, nowMs: u32, s: Session, flags: u32): bool {
  const header = Ipv4.at(ip);
  const protocol: u32 = header.protocol;
  const rest = header.totalLength - IPV4_HEADER;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (rest + IPV6_HEADER > (header.dontFragment ? limits.mtuInner : cutAbove(limits.mtuInner))) return false;
  if (rest + IPV6_HEADER > routeMtus.least) return false;
  const tos: u32 = header.tos;
  const ttl: u32 = header.ttl;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, tos, ttl, header.dontFragment, false) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.IN_46, rest + IPV6_HEADER, ip + IPV4_HEADER, rest, nowMs);
  const out = ip - (IPV6_HEADER - IPV4_HEADER);
  if (isTransmitFull()) return false;
  append(out - VNET_HEADER, rest + IPV6_HEADER + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const ports = load<u32>(ip + IPV4_HEADER);
  setPorts(ip + IPV4_HEADER, protocol, ports & 0xffff, s.innerPortBE, s.deltaIn, s.innerPortBE + negate(ports >> 16), flags);
  writeHeader6(out, tos, rest, protocol, ttl - 1, s.remote, changetype<usize>(s));
  const remoteBE = mappedBE(s.remoteHi);
  Ipv6.at(out).sourceLo = nat64Lo(remoteBE);
  Ipv6.at(out).sourceHi = nat64Hi(remoteBE);
  writePlainOffload(out - VNET_HEADER, IPV6_HEADER, protocol, flags);
  count(s, Path.IN_46, rest + IPV6_HEADER, nowMs);
  if (marks != NO_MARKS) begin(s, out, out + IPV6_HEADER, rest, marks);
  return true;
}

function fast6(ip: usize, length: u32, slot: u32, nowMs: u32): bool {
  const header = Ipv6.at(ip);
  const rest = header.payloadLength;
  if (rest < UDP_HEADER) return false;
  if (rest + IPV6_HEADER > length) return false;
  const hopLimit: u32 = header.hopLimit;
  if (hopLimit < SAFE_HOP_LIMIT) return false;
  const protocol: u32 = header.nextHeader;
  const ports = load<u32>(ip + IPV6_HEADER);
  if (protocol == PROTOCOL_TCP) {
    if (rest < TCP_HEADER) return false;
    const headerLength = Tcp.at(ip + IPV6_HEADER).headerLength;
    if (headerLength < TCP_HEADER) return false;
    if (headerLength > rest) return false;
    const flags = Tcp.at(ip + IPV6_HEADER).flags;
    if ((flags & 63) == 0) return false;
    if (flags & (TCP_SYN | TCP_FIN | TCP_RST)) return false;
  } else {
    if (protocol != PROTOCOL_UDP) return false;
    if (Udp.at(ip + IPV6_HEADER).length != rest) return false;
    if (Udp.at(ip + IPV6_HEADER).checksum == 0) return false;
    if (ports >> 16 == DNS_PORT_BE) return false;
  }
  if ((ports & 0xffff) == 0) return false;
  if (ports >> 16 == 0) return false;
  const flags: u32 = Vnet.at(ip - VNET_HEADER).flags;
  if (Vnet.at(ip - VNET_HEADER).gsoType != 0) return false;
  if (flags & VNET_NEEDS_CHECKSUM) if (!isPartialOf(ip - VNET_HEADER, IPV6_HEADER, protocol)) return false;
  // ::/64 holds what would be taken for IPv4 in the tables.
  if (header.sourceLo == 0) return false;
  if (header.destinationLo == 0) return false;
  const pool = findInbound(header.destinationLo, header.destinationHi);
  if (pool < 0) return out66(ip, slot, nowMs, flags);
  const s = findSession(<u32>pool, ports, header.sourceLo, header.sourceHi, protocol);
  if (s == null) return false;
  if (s.kind != VirtualServer.EGRESS_IPV4_NAT46) return in66(ip, slot, nowMs, s, flags);
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  const total = rest + IPV4_HEADER;
  if (total > limits.mtuInner) return false;
  if (total > routeMtus.least) return false;
  const tos = header.trafficClass;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, tos, hopLimit, false, false) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.IN_64, total, ip + IPV6_HEADER, rest, nowMs);
  const out = ip + (IPV6_HEADER - IPV4_HEADER);
  if (isTransmitFull()) return false;
  append(out - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  setPorts(ip + IPV6_HEADER, protocol, ports & 0xffff, s.innerPortBE, s.deltaIn, s.innerPortBE + negate(ports >> 16), flags);
  const mayFragment = total <= MAY_FRAGMENT;
  const identificationBE: u32 = mayFragment ? nextIdentification() : 0;
  const flagsBE: u32 = mayFragment ? 0 : IPV4_DONT_FRAGMENT_BE;
  writeHeader4(out, tos, total, identificationBE, flagsBE, hopLimit - 1, protocol, s.seen4BE, mappedBE(s.innerHi));
  writePlainOffload(out - VNET_HEADER, IPV4_HEADER, protocol, flags);
  count(s, Path.IN_64, total, nowMs);
  if (marks != NO_MARKS) begin(s, out, out + IPV4_HEADER, rest, marks);
  return true;
}

function out66(ip: usize, slot: u32, nowMs: u32, flags: u32): bool {
  const header = Ipv6.at(ip);
  const protocol: u32 = header.nextHeader;
  const rest = header.payloadLength;
  const total = rest + IPV6_HEADER;
  const ports = load<u32>(ip + IPV6_HEADER);
  const s = findFromPod(6, header.sourceLo, header.sourceHi, header.destinationLo, header.destinationHi, ports, protocol);
  if (s == null) return false;
  if (s.kind != VirtualServer.EGRESS_IPV6) return out64(ip, slot, nowMs, s, flags);
  if (s.hairpin) return false;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (total > limits.mtuOuter) return false;
  if (total > routeMtus.least) return false;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, header.trafficClass, header.hopLimit, false, true) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.OUT_66, total, ip + IPV6_HEADER, rest, nowMs);
  if (isTransmitFull()) return false;
  append(ip - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const address = poolAddress(s.pool);
  setPorts(ip + IPV6_HEADER, protocol, s.outerPortBE, ports >> 16, s.deltaOut, s.outerPortBE + negate(ports & 0xffff), flags);
  header.sourceLo = address.lo;
  header.sourceHi = address.hi;
  writePlainOffload(ip - VNET_HEADER, IPV6_HEADER, protocol, flags);
  count(s, Path.OUT_66, total, nowMs);
  if (marks != NO_MARKS) begin(s, ip, ip + IPV6_HEADER, rest, marks);
  return true;
}

/** As NAT46's way in is. */
function out64(ip: usize, slot: u32, nowMs: u32, s: Session, flags: u32): bool {
  const header = Ipv6.at(ip);
  const protocol: u32 = header.nextHeader;
  const rest = header.payloadLength;
  const total = rest + IPV4_HEADER;
  if (s.hairpin) return false;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (total > limits.mtuOuter) return false;
  if (total > routeMtus.least) return false;
  const tos = header.trafficClass;
  const hopLimit: u32 = header.hopLimit;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, tos, hopLimit, false, true) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.OUT_64, total, ip + IPV6_HEADER, rest, nowMs);
  const out = ip + (IPV6_HEADER - IPV4_HEADER);
  if (isTransmitFull()) return false;
  append(out - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const ports = load<u32>(ip + IPV6_HEADER);
  setPorts(ip + IPV6_HEADER, protocol, s.outerPortBE, ports >> 16, s.deltaOut, s.outerPortBE + negate(ports & 0xffff), flags);
  const mayFragment = total <= MAY_FRAGMENT;
  const identificationBE: u32 = mayFragment ? nextIdentification() : 0;
  const flagsBE: u32 = mayFragment ? 0 : IPV4_DONT_FRAGMENT_BE;
  const sourceBE = mappedBE(poolAddress(s.pool).hi);
  writeHeader4(out, tos, total, identificationBE, flagsBE, hopLimit - 1, protocol, sourceBE, mappedBE(s.remoteHi));
  writePlainOffload(out - VNET_HEADER, IPV4_HEADER, protocol, flags);
  count(s, Path.OUT_64, total, nowMs);
  if (marks != NO_MARKS) begin(s, out, out + IPV4_HEADER, rest, marks);
  return true;
}

function in66(ip: usize, slot: u32, nowMs: u32, s: Session, flags: u32): bool {
  const header = Ipv6.at(ip);
  const protocol: u32 = header.nextHeader;
  const rest = header.payloadLength;
  const total = rest + IPV6_HEADER;
  if (s.kind != VirtualServer.EGRESS_IPV6) return false;
  if (protocol == PROTOCOL_TCP) if (s.tcpState == TcpState.TRANS) return false;
  if (total > limits.mtuInner) return false;
  if (total > routeMtus.least) return false;
  const marks = protocol == PROTOCOL_UDP ? marksOf(flags, header.trafficClass, header.hopLimit, false, false) : NO_MARKS;
  if (isRun(s)) if (marks == runMarks()) return join(s, Path.IN_66, total, ip + IPV6_HEADER, rest, nowMs);
  if (isTransmitFull()) return false;
  append(ip - VNET_HEADER, total + VNET_HEADER, Verdict.FORWARD, slot, 0);
  const ports = load<u32>(ip + IPV6_HEADER);
  setPorts(ip + IPV6_HEADER, protocol, ports & 0xffff, s.innerPortBE, s.deltaIn, s.innerPortBE + negate(ports >> 16), flags);
  header.destinationLo = s.innerLo;
  header.destinationHi = s.innerHi;
  writePlainOffload(ip - VNET_HEADER, IPV6_HEADER, protocol, flags);
  count(s, Path.IN_66, total, nowMs);
  if (marks != NO_MARKS) begin(s, ip, ip + IPV6_HEADER, rest, marks);
  return true;
}

/** The partial checksum is where the protocol has it. */
// @ts-ignore: decorator
@inline
function isPartialOf(p: usize, ipHeader: u32, protocol: u32): bool {
  const field: u32 = protocol == PROTOCOL_TCP ? offsetof<Tcp>("checksum") : offsetof<Udp>("checksum");
  return load<u32>(p, offsetof<Vnet>("checksumStart")) == (ipHeader | (field << 16));
}

// @ts-ignore: decorator
@inline
function count(s: Session, path: Path, bytes: u32, nowMs: u32): void {
  s.lastSeenMs = nowMs;
  countPath(path, bytes);
}

/** Into the output before it; false when it doesn't fit there. `rest` counts from its UDP header. */
function join(s: Session, path: Path, bytes: u32, transport: usize, rest: u32, nowMs: u32): bool {
  if (!merge(transport + UDP_HEADER, rest - UDP_HEADER)) return false;
  count(s, path, bytes, nowMs);
  return true;
}
