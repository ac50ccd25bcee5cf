/**
 * IPv6 → IPv4, RFC 7915 §5. In place, as translate46.ts.
 */
import { mappedBE } from "./address";
import { fold, negate } from "./checksum";
import { datagrams, isSegmented, wireSize, writeOffload } from "./offload";
import { FRAGMENT_NONE, packet } from "./packet";
import { PROTOCOL_ICMP4, PROTOCOL_TCP } from "./protocol";
import { target } from "./target";
import { rewriteTransport } from "./transport";
import { IPV4_DONT_FRAGMENT_BE, IPV4_HEADER, Ipv4 } from "./wire/ipv4";
import { Ipv6 } from "./wire/ipv6";

/** Identification of packets that may be fragmented on the way (RFC 6864 §4.3: unique per packet lifetime). */
let identification: u32 = 0;

/** In wire order: what the kernel numbers on from it (coalesce.ts) then is what would have come next here. */
export function nextIdentification(): u16 {
  return bswap<u16>(<u16>++identification);
}

/** RFC 7915 §5.1: packets up to this size get DF=0, so that a small tunnel on the path can't black-hole them. */
export const MAY_FRAGMENT: u32 = 1260;

/** The packet in hand gets DF=0: each datagram of a UDP super-packet as it would alone; TCP's segments are made to fit. */
export function mayFragment(): bool {
  return wireSize(IPV4_HEADER) <= MAY_FRAGMENT && !(isSegmented() && packet.protocol == PROTOCOL_TCP);
}

/** By `target`; `mtu` is the IPv4 side's. → address of the new IP header. */
export function translate64(mtu: u32, maxSegment: u32): usize {
  const fragment = packet.fragment != FRAGMENT_NONE || packet.fragmentHeader;
  if (packet.hasTransport) rewriteTransport(4, maxSegment);
  const tos = Ipv6.at(packet.ip).trafficClass;
  const total = packet.transportLength + IPV4_HEADER;

  let identificationBE: u32 = 0;
  let flagsOffsetBE: u32 = IPV4_DONT_FRAGMENT_BE;
  if (fragment) {
    // §5.1.1, 'atomic' ones too: the low 16 bits, DF not set.
    identificationBE = bswap<u16>(<u16>packet.identification);
    flagsOffsetBE = bswap<u16>(<u16>(packet.fragmentOffset >> 3) | (packet.moreFragments ? 0x2000 : 0));
  } else if (mayFragment()) {
    identificationBE = nextIdentification();
    // The kernel numbers on from it.
    if (isSegmented()) identification += datagrams() - 1;
    flagsOffsetBE = 0;
  }
  const ip = packet.transport - IPV4_HEADER;
  writeHeader4(
    ip,
    tos,
    total,
    identificationBE,
    flagsOffsetBE,
    packet.hopLimit - 1,
    packet.protocol,
    mappedBE(target.sourceHi),
    mappedBE(target.destinationHi),
  );
  writeOffload(ip, 4, mtu);
  return ip;
}

/** A header without options, and its checksum. `total` in bytes. */
// @ts-ignore: decorator
@inline
export function writeHeader4(
  ip: usize,
  tos: u32,
  total: u32,
  identificationBE: u32,
  flagsOffsetBE: u32,
  ttl: u32,
  protocol: u32,
  sourceBE: u32,
  destinationBE: u32,
): void {
  // Whole words: the sum needs no look back at what was just written.
  const first: u32 = 0x45 | (tos << 8) | (<u32>bswap<u16>(<u16>total) << 16);
  const second: u32 = identificationBE | (flagsOffsetBE << 16);
  const third: u32 = ttl | (protocol << 8);
  const sum = fold(<u64>first + second + third + sourceBE + destinationBE);
  store<u32>(ip, first);
  store<u32>(ip, second, 4);
  store<u32>(ip, third | (negate(sum) << 16), 8);
  store<u32>(ip, sourceBE, 12);
  store<u32>(ip, destinationBE, 16);
}
if (offsetof<Ipv4>() != 20) ERROR("five words");
if (PROTOCOL_ICMP4 != 1) ERROR("sessions number ICMP as IPv4 does");
