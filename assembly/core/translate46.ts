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
  const next = extra != 0 ? NEXT_FRAGMENT : protocol;
  writeHeader6(ip, tos, length + extra, next, packet.hopLimit - 1, target.source, target.destination);
  if (extra != 0) writeFragment(protocol);
  writeOffload(ip, 6, mtu);
  return ip;
}

/** §4.1: TOS → traffic class, flow label 0. `length` is that of the payload, bytes; the addresses' 16 bytes are copied. */
// @ts-ignore: decorator
@inline
export function writeHeader6(
  ip: usize,
  tos: u32,
  length: u32,
  next: u32,
  hopLimit: u32,
  source: usize,
  destination: usize,
): void {
  // Whole words in wire order.
  store<u32>(ip, 0x60 | (tos >> 4) | ((tos & 15) << 12));
  store<u32>(ip, <u32>bswap<u16>(<u16>length) | (next << 16) | (hopLimit << 24), 4);
  v128.store(ip, v128.load(source), offsetof<Ipv6>("sourceLo"));
  v128.store(ip, v128.load(destination), offsetof<Ipv6>("destinationLo"));
}

function writeFragment(protocol: u32): void {
  const header = Fragment.at(packet.transport - FRAGMENT_HEADER);
  header.nextHeader = <u8>protocol;
  header.reserved = 0;
  header.offsetMoreBE = bswap<u16>(<u16>packet.fragmentOffset | <u16>packet.moreFragments);
  header.identificationBE = bswap<u32>(packet.identification);
}
