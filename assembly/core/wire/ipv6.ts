/**
 * RFC 8200 §3
 *
 * |Version| Traffic Class |           Flow Label                  |
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * |                 Source Address (16 bytes)                     |
 * |               Destination Address (16 bytes)                  |
 */
@unmanaged
@final
export class Ipv6 {
  versionClassFlowBE: u32;
  payloadLengthBE: u16;
  nextHeader: u8;
  hopLimit: u8;
  sourceLo: u64;
  sourceHi: u64;
  destinationLo: u64;
  destinationHi: u64;

  @inline static at(p: usize): Ipv6 {
    return changetype<Ipv6>(p);
  }
  @inline get payloadLength(): u32 {
    return bswap<u16>(this.payloadLengthBE);
  }
  @inline get trafficClass(): u32 {
    return (bswap<u32>(this.versionClassFlowBE) >> 20) & 255;
  }
}
if (offsetof<Ipv6>() != 40) ERROR("Ipv6 must be 40 bytes");

export const IPV6_HEADER: u32 = 40;

/** Extension headers that can stand before the transport header (RFC 8200 §4, IANA). */
export const NEXT_HOP_BY_HOP: u32 = 0;
export const NEXT_ROUTING: u32 = 43;
export const NEXT_FRAGMENT: u32 = 44;
export const NEXT_DESTINATION_OPTIONS: u32 = 60;
