/**
 * Consecutive UDP datagrams of one session and size leave as one super-packet (virtio GSO type 5): one system call and
 * one way through the kernel for all of them. The kernel cuts it at gsoSize, so every datagram comes out as it was.
 *
 * Only datagrams whose checksum is known to be right, or not made yet, are merged: the kernel makes it anew.
 */
import { fold, sumBytes, sumPseudo } from "../core/checksum";
import { isPartial, isSegmented, isVerified } from "../core/offload";
import { FRAGMENT_NONE, packet } from "../core/packet";
import { PROTOCOL_UDP } from "../core/protocol";
import { Session } from "../core/session";
import { limits } from "../core/limits";
import { nextIdentification } from "../core/translate64";
import { IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "../core/wire/ipv6";
import { UDP_HEADER, Udp } from "../core/wire/udp";
import { GSO_UDP, VNET_HEADER, VNET_NEEDS_CHECKSUM, Vnet } from "../core/wire/vnet";
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
/** TOS, hop limit and DF of every datagram in it. */
let marks: u32 = 0;
/** Without DF an IPv4 identification must be nobody else's (RFC 6864 §4.3): the kernel takes the next ones of ours. */
let numbered: bool = false;

function eligible(): bool {
  return (
    limits.coalesceUdp != 0 &&
    packet.protocol == PROTOCOL_UDP &&
    packet.fragment == FRAGMENT_NONE &&
    !isSegmented() &&
    (isPartial() || isVerified())
  );
}

function marksOf(): u32 {
  if (packet.family == 6) return (Ipv6.at(packet.ip).trafficClass << 8) | packet.hopLimit;
  const header = Ipv4.at(packet.ip);
  return (<u32>header.dontFragment << 16) | (<u32>header.tos << 8) | packet.hopLimit;
}

/** Appends the datagram in hand to the last output; false when it doesn't belong there. */
export function merge(s: Session): bool {
  if (run != changetype<usize>(s) || place != transmitted() || !eligible()) return false;
  const size = packet.transportLength - UDP_HEADER;
  // Nothing of an empty datagram would be left in a super-packet.
  if (size == 0 || size > segmentSize || segments == MAX_SEGMENTS || <u32>(end - ip) + size > MAX_BYTES || marksOf() != marks)
    return false;
  memory.copy(end, packet.transport + UDP_HEADER, size);
  end += size;
  segments++;
  if (numbered) nextIdentification();
  // A shorter datagram can only be the last.
  if (size < segmentSize) seal();
  return true;
}

/** What the datagram in hand looks like, before translation changes it. */
export function noteMarks(): void {
  seal();
  marks = eligible() ? marksOf() : 0xffffffff;
}

/** The datagram in hand has just been put into the transmit ring with its IP header at `at`: others may join it. */
export function begin(s: Session, at: usize): void {
  if (marks == 0xffffffff || packet.transportLength == UDP_HEADER) return;
  numbered = load<u8>(at) >> 4 == 4 && !Ipv4.at(at).dontFragment;
  // Within IPv4 the identifications are the sender's, and stay.
  if (numbered && packet.family == 4) return;
  run = changetype<usize>(s);
  place = transmitted();
  segments = 1;
  segmentSize = packet.transportLength - UDP_HEADER;
  ip = at;
  transport = packet.transport;
  end = transport + packet.transportLength;
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
