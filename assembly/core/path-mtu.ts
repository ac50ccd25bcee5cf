/**
 * MTUs of routes whose MTU isn't that of the interfaces: the kernel's own errors about them are for our addresses and
 * never come here. The host writes the table between batches, longest prefix first.
 */
import { isMapped } from "./address";
import { limits } from "./limits";
import { wireSize } from "./offload";
import { packet } from "./packet";
import { target } from "./target";
import { IPV4_HEADER } from "./wire/ipv4";
import { IPV6_HEADER } from "./wire/ipv6";
import { TCP_HEADER } from "./wire/tcp";

@unmanaged
@final
export class RouteMtu {
  lo: u64;
  hi: u64;
  maskLo: u64;
  maskHi: u64;
  /** Bytes. */
  mtu: u32;
  /** 4 or 6: ::/0 is not for IPv4. */
  family: u32;
}
if (offsetof<RouteMtu>() != 40) ERROR("RouteMtu must be 40 bytes");

@unmanaged
@final
export class RouteMtus {
  count: u32;
  /** The smallest MTU of all, those of the interfaces too: what fits it needs no look-up. No routes: any number above. */
  least: u32;
}

export const MAX_ROUTE_MTUS: u32 = 256;
const TABLE = memory.data(256 * 40, 16);
const RECORD = memory.data(8, 8);

export const routeMtuTable: usize = TABLE;
export const routeMtus: RouteMtus = changetype<RouteMtus>(RECORD);

function lookup(lo: u64, hi: u64, byDefault: u32): u32 {
  const family: u32 = isMapped(lo, hi) ? 4 : 6;
  for (let i: u32 = 0; i < routeMtus.count; i++) {
    const route = changetype<RouteMtu>(TABLE + <usize>i * offsetof<RouteMtu>());
    if (route.family == family && (lo & route.maskLo) == route.lo && (hi & route.maskHi) == route.hi) return route.mtu;
  }
  return byDefault;
}

/** MTU of the way to an address; `byDefault`: of the interface. */
// @ts-ignore: decorator
@inline
function mtuTowards(lo: u64, hi: u64, byDefault: u32): u32 {
  return routeMtus.count == 0 ? byDefault : lookup(lo, hi, byDefault);
}

/** Of the packet in hand, by `target`, once its IP header has `ipHeader` bytes; what fits every route needs no look-up. */
// @ts-ignore: decorator
@inline
export function mtuOfTarget(ipHeader: u32, byDefault: u32): u32 {
  return routeMtus.count == 0 ? byDefault : lookupTarget(ipHeader, byDefault);
}

function lookupTarget(ipHeader: u32, byDefault: u32): u32 {
  if (wireSize(ipHeader) <= routeMtus.least) return byDefault;
  return lookup(target.destinationLo, target.destinationHi, byDefault);
}

/**
 * Both ends of the way of the packet in hand, by `target`: towards the outside, and towards the Pod. `lo`, `hi`: the end
 * that it doesn't go to.
 */
export function mtuOutside(lo: u64, hi: u64): u32 {
  return packet.fromOutside
    ? mtuTowards(lo, hi, limits.mtuOuter)
    : mtuTowards(target.destinationLo, target.destinationHi, limits.mtuOuter);
}

export function mtuInside(lo: u64, hi: u64): u32 {
  return packet.fromOutside
    ? mtuTowards(target.destinationLo, target.destinationHi, limits.mtuInner)
    : mtuTowards(lo, hi, limits.mtuInner);
}

/** Largest TCP payload for both ends of the way; `byDefault`: for the interfaces. */
export function segmentByRoute(byDefault: u32): u32 {
  if (routeMtus.count == 0) return byDefault;
  const nearHeader = headerTowards(packet.sourceLo, packet.sourceHi);
  const farHeader = headerTowards(target.destinationLo, target.destinationHi);
  const outside = mtuOutside(packet.sourceLo, packet.sourceHi) - (packet.fromOutside ? nearHeader : farHeader);
  const inside = mtuInside(packet.sourceLo, packet.sourceHi) - (packet.fromOutside ? farHeader : nearHeader);
  return min(outside, inside) - TCP_HEADER;
}

function headerTowards(lo: u64, hi: u64): u32 {
  return isMapped(lo, hi) ? IPV4_HEADER : IPV6_HEADER;
}
