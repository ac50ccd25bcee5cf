/**
 * Plain SNAT within one IP version: only the inner end's address and port change. The kernel forwards the packet before
 * and after and counts both as hops, so the TTL stays as it is.
 */
import { mappedBE } from "./address";
import { adjust, negate, sum32 } from "./checksum";
import { VirtualServer } from "./counters";
import { limits } from "./limits";
import { writeOffload } from "./offload";
import { packet } from "./packet";
import { Session } from "./session";
import { poolAddress } from "./snat-pool";
import { rewriteTransport } from "./transport";
import { Ipv4 } from "./wire/ipv4";
import { Ipv6 } from "./wire/ipv6";

export function rewriteOut(s: Session, maxSegment: u32): usize {
  rewriteTransport(s, true, maxSegment);
  const address = poolAddress(s.pool);
  if (s.kind == VirtualServer.EGRESS_IPV4) {
    const header = Ipv4.at(packet.ip);
    const sourceBE = mappedBE(address.hi);
    header.checksum = <u16>adjust(header.checksum, sum32(sourceBE) + negate(sum32(header.sourceBE)));
    header.sourceBE = sourceBE;
  } else {
    const header = Ipv6.at(packet.ip);
    header.sourceLo = address.lo;
    header.sourceHi = address.hi;
  }
  writeOffload(packet.ip, packet.family, limits.mtuOuter);
  return packet.ip;
}

export function rewriteIn(s: Session, maxSegment: u32): usize {
  rewriteTransport(s, false, maxSegment);
  setDestination(s.innerLo, s.innerHi);
  writeOffload(packet.ip, packet.family, limits.mtuInner);
  return packet.ip;
}

/** Writes the destination of the packet in hand and, for IPv4, mends the header checksum. */
export function setDestination(lo: u64, hi: u64): void {
  if (packet.family == 4) {
    const header = Ipv4.at(packet.ip);
    const destinationBE = mappedBE(hi);
    header.checksum = <u16>adjust(header.checksum, sum32(destinationBE) + negate(sum32(header.destinationBE)));
    header.destinationBE = destinationBE;
  } else {
    const header = Ipv6.at(packet.ip);
    header.destinationLo = lo;
    header.destinationHi = hi;
  }
}
