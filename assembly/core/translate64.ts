/**
 * IPv6 → IPv4, RFC 7915 §5. In place, as translate46.ts.
 */
import { mappedBE } from "./address";
import { fold } from "./checksum";
import { isSegmented, writeOffload } from "./offload";
import { FRAGMENT_NONE, packet } from "./packet";
import { PROTOCOL_ICMP4 } from "./protocol";
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

/** By `target`; `mtu` is the IPv4 side's. → address of the new IP header. */
export function translate64(mtu: u32, maxSegment: u32): usize {
  const fragment = packet.fragment != FRAGMENT_NONE || packet.fragmentHeader;
  if (packet.hasTransport) rewriteTransport(4, maxSegment);
  const tos = Ipv6.at(packet.ip).trafficClass;
  const total = packet.transportLength + IPV4_HEADER;
  const mayFragment = total <= MAY_FRAGMENT && !isSegmented();

  const ip = packet.transport - IPV4_HEADER;
  const header = Ipv4.at(ip);
  header.versionIhl = 0x45;
  header.tos = <u8>tos;
  header.totalLengthBE = bswap<u16>(<u16>total);
  if (fragment) {
    // §5.1.1, 'atomic' ones too: the low 16 bits, DF not set.
    header.identificationBE = bswap<u16>(<u16>packet.identification);
    header.flagsOffsetBE = bswap<u16>(
      <u16>(packet.fragmentOffset >> 3) | (packet.moreFragments ? 0x2000 : 0),
    );
  } else {
    header.identificationBE = mayFragment ? nextIdentification() : 0;
    header.flagsOffsetBE = mayFragment ? 0 : IPV4_DONT_FRAGMENT_BE;
  }
  header.ttl = <u8>(packet.hopLimit - 1);
  header.protocol = <u8>packet.protocol;
  header.checksum = 0;
  header.sourceBE = mappedBE(target.sourceHi);
  header.destinationBE = mappedBE(target.destinationHi);
  header.checksum = <u16>(fold(
    <u64>load<u32>(ip) + load<u32>(ip, 4) + load<u32>(ip, 8) + load<u32>(ip, 12) + load<u32>(ip, 16),
  ) ^ 0xffff);
  writeOffload(ip, 4, mtu);
  return ip;
}
if (PROTOCOL_ICMP4 != 1) ERROR("sessions number ICMP as IPv4 does");
