/**
 * IPv4 → IPv6, RFC 7915 §4. In place: the transport header stays where it is, the new IP header ends before it.
 * packet.ts has checked the packet, offload.ts holds its offload state.
 */
import { limits } from "./limits";
import { writeOffload } from "./offload";
import { packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6 } from "./protocol";
import { Session } from "./session";
import { poolAddress } from "./snat-pool";
import { rewriteTransport } from "./transport";
import { Ipv4 } from "./wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "./wire/ipv6";

/** → address of the new IP header. */
export function translate46(s: Session, maxSegment: u32): usize {
  rewriteTransport(s, true, maxSegment);
  // The headers overlap: everything is read before the first store.
  const tos: u32 = Ipv4.at(packet.ip).tos;
  const length = packet.transportLength;
  const protocol = packet.protocol == PROTOCOL_ICMP4 ? PROTOCOL_ICMP6 : packet.protocol;
  const address = poolAddress(s.pool);

  const ip = packet.transport - IPV6_HEADER;
  const header = Ipv6.at(ip);
  // §4.1: TOS → traffic class, flow label 0.
  header.versionClassFlowBE = bswap<u32>(0x60000000 | (tos << 20));
  header.payloadLengthBE = bswap<u16>(<u16>length);
  header.nextHeader = <u8>protocol;
  header.hopLimit = <u8>(packet.hopLimit - 1);
  header.sourceLo = address.lo;
  header.sourceHi = address.hi;
  header.destinationLo = s.remoteLo;
  header.destinationHi = s.remoteHi;
  writeOffload(ip, 6, limits.mtuOuter);
  return ip;
}
