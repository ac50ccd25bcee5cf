/**
 * RFC 791 §3.1
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * |Version|  IHL  |Type of Service|          Total Length         |
 * |         Identification        |Flags|      Fragment Offset    |
 * |  Time to Live |    Protocol   |         Header Checksum       |
 * |                       Source Address                          |
 * |                    Destination Address                        |
 *
 * Fields named …BE are in wire order; accessors give host order. Check bounds first (packet.ts).
 */
@unmanaged
@final
export class Ipv4 {
  versionIhl: u8;
  tos: u8;
  totalLengthBE: u16;
  identificationBE: u16;
  flagsOffsetBE: u16;
  ttl: u8;
  protocol: u8;
  checksum: u16;
  sourceBE: u32;
  destinationBE: u32;

  @inline static at(p: usize): Ipv4 {
    return changetype<Ipv4>(p);
  }
  @inline get headerLength(): u32 {
    return (<u32>this.versionIhl & 15) << 2;
  }
  @inline get totalLength(): u32 {
    return bswap<u16>(this.totalLengthBE);
  }
  /** DF bit. */
  @inline get dontFragment(): bool {
    return (this.flagsOffsetBE & 0x0040) != 0;
  }
  /** More fragments, or a fragment offset other than zero. */
  @inline get isFragment(): bool {
    return (this.flagsOffsetBE & 0xff3f) != 0;
  }
}
if (offsetof<Ipv4>() != 20) ERROR("Ipv4 must be 20 bytes");

export const IPV4_HEADER: u32 = 20;
/** DF, in wire order as loaded little-endian. */
export const IPV4_DONT_FRAGMENT_BE: u16 = 0x0040;
