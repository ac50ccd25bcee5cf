/** The offload state of the packet in hand: read before its headers move, written in front of the new ones. */
import { packet } from "./packet";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";
import { IPV4_HEADER } from "./wire/ipv4";
import { IPV6_HEADER } from "./wire/ipv6";
import { Tcp } from "./wire/tcp";
import { UDP_HEADER } from "./wire/udp";
import { GSO_ECN, GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, VNET_CHECKSUM_VALID, VNET_HEADER, VNET_NEEDS_CHECKSUM, Vnet } from "./wire/vnet";

let partialChecksum: bool = false;
let verified: bool = false;
let gsoType: u32 = 0;
let ecn: u32 = 0;
let gsoSize: u32 = 0;
let checksumOffset: u32 = 0;

// @ts-ignore: decorator
@inline
export function isPartial(): bool {
  return partialChecksum;
}

/** Somebody before us has found the checksum to be right. */
// @ts-ignore: decorator
@inline
export function isVerified(): bool {
  return verified;
}

/** False when the header contradicts the parsed packet. */
export function readOffload(): bool {
  const vnet = Vnet.at(packet.ip - VNET_HEADER);
  partialChecksum = (vnet.flags & VNET_NEEDS_CHECKSUM) != 0;
  verified = (vnet.flags & VNET_CHECKSUM_VALID) != 0;
  gsoType = vnet.gsoType & ~GSO_ECN;
  ecn = vnet.gsoType & GSO_ECN;
  gsoSize = vnet.gsoSize;
  checksumOffset = vnet.checksumOffset;
  if (partialChecksum) {
    const expected: u32 = packet.protocol == PROTOCOL_TCP ? 16 : packet.protocol == PROTOCOL_UDP ? 6 : 0;
    if (expected == 0 || checksumOffset != expected) return false;
    if (packet.ip + vnet.checksumStart != packet.transport) return false;
  }
  if (packet.fragment != 0) return !partialChecksum && gsoType == GSO_NONE;
  if (gsoType == GSO_NONE) return true;
  if (!partialChecksum || gsoSize == 0) return false;
  if (gsoType == GSO_UDP) return packet.protocol == PROTOCOL_UDP;
  const expected = packet.family == 4 ? GSO_TCP4 : GSO_TCP6;
  return gsoType == expected && packet.protocol == PROTOCOL_TCP;
}

/** From here on the sender's side completes the checksum: the field must hold the pseudo-header sum. */
export function requestChecksum(offset: u32): void {
  partialChecksum = true;
  checksumOffset = offset;
}

/** Where in the transport header the checksum stands that is yet to be completed. */
// @ts-ignore: decorator
@inline
export function checksumField(): u32 {
  return checksumOffset;
}

/** Bytes of the transport header, as segmentation repeats it. */
function transportHeader(): u32 {
  return packet.protocol == PROTOCOL_TCP ? Tcp.at(packet.transport).headerLength : UDP_HEADER;
}

/**
 * Whether the packet, once its IP header has `ipHeader` bytes, fits the MTU. TCP super-packets always do: their segment
 * size is lowered on the way out.
 */
export function fits(ipHeader: u32, mtu: u32): bool {
  if (gsoType == GSO_NONE) return ipHeader + packet.transportLength <= mtu;
  return gsoType != GSO_UDP || ipHeader + UDP_HEADER + gsoSize <= mtu;
}

/** Bytes of the packet on the wire, of its largest segment that is, once its IP header has `ipHeader` bytes. */
// @ts-ignore: decorator
@inline
export function wireSize(ipHeader: u32): u32 {
  return ipHeader + (gsoType == GSO_NONE ? packet.transportLength : transportHeader() + gsoSize);
}

/** Writes the header before `ip`; the transport header hasn't moved. */
export function writeOffload(ip: usize, family: u32, mtu: u32): void {
  const vnet = Vnet.at(ip - VNET_HEADER);
  const ipHeader = <u32>(packet.transport - ip);
  vnet.flags = partialChecksum ? <u8>VNET_NEEDS_CHECKSUM : 0;
  vnet.checksumStart = partialChecksum ? <u16>ipHeader : 0;
  vnet.checksumOffset = partialChecksum ? <u16>checksumOffset : 0;
  vnet.buffers = 0;
  if (gsoType == GSO_NONE) {
    vnet.gsoType = 0;
    vnet.headerLength = 0;
    vnet.gsoSize = 0;
    return;
  }
  const headers = ipHeader + transportHeader();
  vnet.headerLength = <u16>headers;
  if (gsoType == GSO_UDP) {
    vnet.gsoType = <u8>GSO_UDP;
    vnet.gsoSize = <u16>gsoSize;
  } else {
    vnet.gsoType = <u8>((family == 4 ? GSO_TCP4 : GSO_TCP6) | ecn);
    vnet.gsoSize = <u16>min(gsoSize, mtu - headers);
  }
}

/** At `p`, for a single TCP or UDP packet whose IP header has `ipHeader` bytes; `flags` are those it came with. */
// @ts-ignore: decorator
@inline
export function writePlainOffload(p: usize, ipHeader: u32, protocol: u32, flags: u32): void {
  if (flags & VNET_NEEDS_CHECKSUM) {
    store<u32>(p, VNET_NEEDS_CHECKSUM);
    store<u32>(p, ipHeader << 16, 4);
    store<u32>(p, protocol == PROTOCOL_TCP ? 16 : 6, 8);
  } else {
    store<u32>(p, 0);
    store<u64>(p, 0, 4);
  }
}

/** A single packet without segmentation (RFC 7915 §5.1 treats it apart from a stream of large ones). */
// @ts-ignore: decorator
@inline
export function isSegmented(): bool {
  return gsoType != GSO_NONE;
}

/** Payload bytes of each segment. */
// @ts-ignore: decorator
@inline
export function segmentSize(): u32 {
  return gsoSize;
}

/** How many there are in a UDP super-packet. */
export function datagrams(): u32 {
  return max((packet.transportLength - UDP_HEADER + gsoSize - 1) / gsoSize, 1);
}
if (IPV4_HEADER + 20 != IPV6_HEADER) ERROR("the translation grows a packet by 20 bytes");
