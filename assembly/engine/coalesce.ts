/**
 * Consecutive UDP datagrams of one session and size leave as one super-packet (virtio GSO type 5): one system call and
 * one way through the kernel for all of them. The kernel cuts it at gsoSize, so every datagram comes out as it was.
 *
 * Only datagrams whose checksum is known to be right, or not made yet, are merged: the kernel makes it anew.
 */
import { fold, sumBytes, sumPseudo } from "../core/checksum";
import { VirtualServer } from "../core/counters";
import { isPartial, isSegmented, isVerified } from "../core/offload";
import { FRAGMENT_NONE, packet } from "../core/packet";
import { PROTOCOL_UDP } from "../core/protocol";
import { Session } from "../core/session";
import { limits } from "../core/limits";
import { nextIdentification } from "../core/translate64";
import { IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "../core/wire/ipv6";
import { UDP_HEADER, Udp } from "../core/wire/udp";
import { GSO_UDP, VNET_CHECKSUM_VALID, VNET_HEADER, VNET_NEEDS_CHECKSUM, Vnet } from "../core/wire/vnet";
import { lastTransmitted, transmitted } from "./slots";

/** UDP_MAX_SEGMENTS of kernels before 6.9. */
const MAX_SEGMENTS: u32 = 64;
const MAX_BYTES: u32 = 65_000;

let run: usize = 0;
/** How many descriptors there were with the run's own as the last. */
let place: u32 = 0;
let segments: u32 = 0;
let segmentSize: u32 = 0;
/** IP header of the super-packet, its transport header, and where the next payload goes. */
let ip: usize = 0;
let transport: usize = 0;
let end: usize = 0;
/** Direction, TOS, hop limit and DF of every datagram in it. */
let marks: u32 = 0;
/** Without DF an IPv4 identification must be nobody else's (RFC 6864 §4.3): the kernel takes the next ones of ours. */
let numbered: bool = false;

/** Of a datagram that nothing may join. */
export const NO_MARKS: u32 = 0xffffffff;

/** `flags` are those of its offload header. */
// @ts-ignore: decorator
@inline
export function marksOf(flags: u32, tos: u32, hopLimit: u32, dontFragment: bool, outbound: bool): u32 {
  if (limits.coalesceUdp == 0) return NO_MARKS;
  if ((flags & (VNET_NEEDS_CHECKSUM | VNET_CHECKSUM_VALID)) == 0) return NO_MARKS;
  return (<u32>outbound << 17) | (<u32>dontFragment << 16) | (tos << 8) | hopLimit;
}

/**
 * Of the datagram in hand, before translation changes it. What stands behind the IP header would be each packet's own:
 * options, a fragment header's identification.
 */
export function packetMarks(outbound: bool): u32 {
  const header = packet.family == 4 ? IPV4_HEADER : IPV6_HEADER;
  if (<u32>(packet.transport - packet.ip) != header) return NO_MARKS;
  if (packet.fragment != FRAGMENT_NONE || isSegmented()) return NO_MARKS;
  const flags = (isPartial() ? VNET_NEEDS_CHECKSUM : 0) | (isVerified() ? VNET_CHECKSUM_VALID : 0);
  if (packet.family == 6) return marksOf(flags, Ipv6.at(packet.ip).trafficClass, packet.hopLimit, false, outbound);
  const four = Ipv4.at(packet.ip);
  return marksOf(flags, four.tos, packet.hopLimit, four.dontFragment, outbound);
}

/** The last output is a datagram of the session with these marks, or several. */
// @ts-ignore: decorator
@inline
export function mayMerge(s: Session, its: u32): bool {
  return isRun(s) && its == marks;
}

// @ts-ignore: decorator
@inline
export function isRun(s: Session): bool {
  return run == changetype<usize>(s);
}

// @ts-ignore: decorator
@inline
export function runMarks(): u32 {
  return marks;
}

/** When it may: appends `size` bytes of a datagram's payload to the last output; false when they don't fit there. */
export function merge(payload: usize, size: u32): bool {
  // Nothing of an empty datagram would be left in a super-packet.
  if (place != transmitted() || size == 0 || size > segmentSize) return false;
  if (segments == MAX_SEGMENTS || <u32>(end - ip) + size > MAX_BYTES) return false;
  memory.copy(end, payload, size);
  end += size;
  segments++;
  if (numbered) nextIdentification();
  // A shorter datagram can only be the last.
  if (size < segmentSize) seal();
  return true;
}

/** It has marks, and is the last one in the transmit ring: others may join it. `length` counts from its UDP header. */
export function begin(s: Session, at: usize, header: usize, length: u32, its: u32): void {
  if (length == UDP_HEADER) return;
  seal();
  numbered = load<u8>(at) >> 4 == 4 && !Ipv4.at(at).dontFragment;
  // Within IPv4 the identifications are the sender's, and stay.
  if (numbered && s.kind == VirtualServer.EGRESS_IPV4) return;
  run = changetype<usize>(s);
  place = transmitted();
  segments = 1;
  segmentSize = length - UDP_HEADER;
  ip = at;
  transport = header;
  end = header + length;
  marks = its;
}

/** Nobody joins any more: the headers get the whole length. */
export function seal(): void {
  if (run == 0) return;
  run = 0;
  if (segments == 1) return;
  const length = <u32>(end - transport);
  const udp = Udp.at(transport);
  udp.lengthBE = bswap<u16>(<u16>length);
  let addresses: u64;
  if (load<u8>(ip) >> 4 == 6) {
    Ipv6.at(ip).payloadLengthBE = bswap<u16>(<u16>(end - ip - IPV6_HEADER));
    addresses = sumBytes(ip + 8, 32);
  } else {
    const header = Ipv4.at(ip);
    header.totalLengthBE = bswap<u16>(<u16>(end - ip));
    header.checksum = 0;
    header.checksum = <u16>(fold(sumBytes(ip, IPV4_HEADER)) ^ 0xffff);
    addresses = sumBytes(ip + 12, 8);
  }
  udp.checksum = <u16>fold(addresses + sumPseudo(length, PROTOCOL_UDP));
  const headers = <u32>(transport - ip);
  const vnet = Vnet.at(ip - VNET_HEADER);
  vnet.flags = <u8>VNET_NEEDS_CHECKSUM;
  vnet.gsoType = <u8>GSO_UDP;
  vnet.headerLength = <u16>(headers + UDP_HEADER);
  vnet.gsoSize = <u16>segmentSize;
  vnet.checksumStart = <u16>headers;
  vnet.checksumOffset = <u16>offsetof<Udp>("checksum");
  lastTransmitted(place).length = <u32>(end - ip) + VNET_HEADER;
}
