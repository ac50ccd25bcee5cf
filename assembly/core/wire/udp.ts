/**
 * RFC 768
 *
 * |          Source Port          |       Destination Port        |
 * |            Length             |           Checksum            |
 */
@unmanaged
@final
export class Udp {
  sourceBE: u16;
  destinationBE: u16;
  lengthBE: u16;
  checksum: u16;

  @inline static at(p: usize): Udp {
    return changetype<Udp>(p);
  }
  @inline get length(): u32 {
    return bswap<u16>(this.lengthBE);
  }
}
if (offsetof<Udp>() != 8) ERROR("Udp must be 8 bytes");

export const UDP_HEADER: u32 = 8;
/** Port 53 in wire order. */
export const DNS_PORT_BE: u32 = 0x3500;
