/**
 * IPv6 packets larger than the path, out of IPv4 packets that routers may fragment (RFC 7915 §4.1: DF not set): IPv6
 * routers don't, so it is done here.
 */
import { fold, sumBytes } from "../core/checksum";
import { limits } from "../core/limits";
import { checksumField, isPartial } from "../core/offload";
import { packet } from "../core/packet";
import { DropReason, Verdict } from "../core/verdict";
import { FRAGMENT_HEADER, Fragment } from "../core/wire/fragment";
import { IPV6_HEADER, Ipv6, NEXT_FRAGMENT } from "../core/wire/ipv6";
import { VNET_HEADER } from "../core/wire/vnet";
import { HEADROOM, SLOT_ROOM, TRANSMIT_CAPACITY, slotAddress, spend, takeSlot, transmit, transmitted } from "./slots";

export const IPV6_MINIMUM_MTU: u32 = 1280;
const HEADERS: u32 = IPV6_HEADER + FRAGMENT_HEADER;
/** The pieces of one packet share a slot. */
const LARGEST: u32 = 65_535;
const MAX_PIECES: u32 = LARGEST / ((IPV6_MINIMUM_MTU - HEADERS) & ~7) + 1;
if (LARGEST + MAX_PIECES * (VNET_HEADER + HEADERS) > SLOT_ROOM) ERROR("the pieces of a packet need more than a slot");

/** What is larger than this, as IPv6, is cut when its sender allows it (RFC 7915 §4: 'lowest-ipv6-mtu'); `mtu`: of its way. */
// @ts-ignore: decorator
@inline
export function cutAbove(mtu: u32): u32 {
  return max(IPV6_MINIMUM_MTU, min(limits.lowestMtu6, mtu));
}

/** Sends the translated packet in hand, whose IPv6 header is at `ip`, in fragments that fit `mtu`: all of them, or none. */
export function sendFragments(ip: usize, mtu: u32): DropReason {
  const transport = packet.transport;
  const length = packet.transportLength;
  completeChecksum();
  const original = Ipv6.at(ip);
  const was = packet.fragment != 0;
  const protocol = was ? Fragment.at(transport - FRAGMENT_HEADER).nextHeader : original.nextHeader;
  const step = (cutAbove(mtu) - HEADERS) & ~7;
  if (transmitted() + (length + step - 1) / step > TRANSMIT_CAPACITY) return DropReason.OUTPUT_FULL;
  const slot = takeSlot();
  if (slot < 0) return DropReason.OUTPUT_FULL;
  spend(slot);
  let p = slotAddress(slot) + HEADROOM;
  for (let at: u32 = 0; at < length; at += step) {
    const size = min(step, length - at);
    memory.copy(p, ip, IPV6_HEADER);
    const header = Ipv6.at(p);
    header.payloadLengthBE = bswap<u16>(<u16>(FRAGMENT_HEADER + size));
    header.nextHeader = <u8>NEXT_FRAGMENT;
    const fragment = Fragment.at(p + IPV6_HEADER);
    const more = at + size < length || packet.moreFragments;
    fragment.nextHeader = protocol;
    fragment.reserved = 0;
    fragment.offsetMoreBE = bswap<u16>(<u16>(packet.fragmentOffset + at) | <u16>more);
    // §4.1: the IPv4 identification, extended with zeros.
    fragment.identificationBE = bswap<u32>(packet.identification);
    memory.copy(p + HEADERS, transport + at, size);
    memory.fill(p - VNET_HEADER, 0, VNET_HEADER);
    transmit(p - VNET_HEADER, VNET_HEADER + HEADERS + size, Verdict.FORWARD, slot, 0);
    p += HEADERS + size + VNET_HEADER;
  }
  return DropReason.NONE;
}

/** Nobody completes the checksum of a fragment: it must be whole before the packet is cut. */
function completeChecksum(): void {
  if (!isPartial()) return;
  const sum = fold(sumBytes(packet.transport, packet.transportLength)) ^ 0xffff;
  store<u16>(packet.transport + checksumField(), <u16>(sum == 0 ? 0xffff : sum));
}
