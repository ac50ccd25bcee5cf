/**
 * IPv6 packets larger than the path, out of IPv4 packets that routers may fragment (RFC 7915 §4.1: DF not set): IPv6
 * routers don't, so it is done here.
 */
import { fold, sumBytes } from "../core/checksum";
import { limits } from "../core/limits";
import { checksumField, isPartial } from "../core/offload";
import { packet } from "../core/packet";
import { DropReason } from "../core/verdict";
import { FRAGMENT_HEADER, Fragment } from "../core/wire/fragment";
import { IPV6_HEADER, Ipv6, NEXT_FRAGMENT } from "../core/wire/ipv6";
import { HEADROOM, sendFresh, slotAddress, takeSlot } from "./slots";

const IPV6_MINIMUM_MTU: u32 = 1280;

/**
 * Sends the translated packet in hand, whose IPv6 header is at `ip`, in fragments that fit the lowest IPv6 MTU.
 * DropReason.OUTPUT_FULL: some of them may be on their way; the receiver drops them for want of the rest.
 */
export function sendFragments(ip: usize): DropReason {
  const transport = packet.transport;
  const length = packet.transportLength;
  completeChecksum();
  const original = Ipv6.at(ip);
  const was = packet.fragment != 0;
  const protocol = was ? Fragment.at(transport - FRAGMENT_HEADER).nextHeader : original.nextHeader;
  const mtu = max(IPV6_MINIMUM_MTU, min(limits.lowestMtu6, limits.mtuOuter));
  const step = (mtu - IPV6_HEADER - FRAGMENT_HEADER) & ~7;
  for (let at: u32 = 0; at < length; at += step) {
    const size = min(step, length - at);
    const slot = takeSlot();
    if (slot < 0) return DropReason.OUTPUT_FULL;
    const p = slotAddress(slot) + HEADROOM;
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
    memory.copy(p + IPV6_HEADER + FRAGMENT_HEADER, transport + at, size);
    if (!sendFresh(p, IPV6_HEADER + FRAGMENT_HEADER + size, slot)) return DropReason.OUTPUT_FULL;
  }
  return DropReason.NONE;
}

/** Nobody completes the checksum of a fragment: it must be whole before the packet is cut. */
function completeChecksum(): void {
  if (!isPartial()) return;
  const sum = fold(sumBytes(packet.transport, packet.transportLength)) ^ 0xffff;
  store<u16>(packet.transport + checksumField(), <u16>(sum == 0 ? 0xffff : sum));
}
