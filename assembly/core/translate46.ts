/**
 * IPv4 → IPv6, RFC 7915 §4. In place: the transport header stays where it is, the new IP header ends before it.
 * packet.ts has checked the packet, offload.ts holds its offload state.
 */
import { writeOffload } from "./offload";
import { FRAGMENT_NONE, packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_ICMP6 } from "./protocol";
import { target } from "./target";
import { rewriteTransport } from "./transport";
import { FRAGMENT_HEADER, Fragment } from "./wire/fragment";
import { Ipv4 } from "./wire/ipv4";
import { IPV6_HEADER, Ipv6, NEXT_FRAGMENT } from "./wire/ipv6";

/** By `target`; `mtu` is the IPv6 side's. → address of the new IP header. */
export function translate46(mtu: u32, maxSegment: u32): usize {
  if (packet.hasTransport) rewriteTransport(6, maxSegment);
  // The headers overlap: everything is read before the first store.
  const tos: u32 = Ipv4.at(packet.ip).tos;
  const length = packet.transportLength;
  const protocol = packet.protocol == PROTOCOL_ICMP4 ? PROTOCOL_ICMP6 : packet.protocol;

  // §4.1: a fragment header only if the packet was a fragment (never an atomic one: RFC 8021).
  const extra = packet.fragment != FRAGMENT_NONE ? FRAGMENT_HEADER : 0;
  const ip = packet.transport - IPV6_HEADER - extra;
  const header = Ipv6.at(ip);
  // §4.1: TOS → traffic class, flow label 0.
  header.versionClassFlowBE = bswap<u32>(0x60000000 | (tos << 20));
  header.payloadLengthBE = bswap<u16>(<u16>(length + extra));
  header.nextHeader = <u8>(extra != 0 ? NEXT_FRAGMENT : protocol);
  header.hopLimit = <u8>(packet.hopLimit - 1);
  header.sourceLo = target.sourceLo;
  header.sourceHi = target.sourceHi;
  header.destinationLo = target.destinationLo;
  header.destinationHi = target.destinationHi;
  if (extra != 0) writeFragment(protocol);
  writeOffload(ip, 6, mtu);
  return ip;
}

function writeFragment(protocol: u32): void {
  const header = Fragment.at(packet.transport - FRAGMENT_HEADER);
  header.nextHeader = <u8>protocol;
  header.reserved = 0;
  header.offsetMoreBE = bswap<u16>(<u16>packet.fragmentOffset | <u16>packet.moreFragments);
  header.identificationBE = bswap<u32>(packet.identification);
}
