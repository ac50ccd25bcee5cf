/**
 * RFC 9293 §3.1
 *
 * |          Source Port          |       Destination Port        |
 * |                        Sequence Number                        |
 * |                    Acknowledgment Number                      |
 * | Offset| Rsrvd |     Flags     |            Window             |
 * |           Checksum            |         Urgent Pointer        |
 */
@unmanaged
@final
export class Tcp {
  sourceBE: u16;
  destinationBE: u16;
  sequenceBE: u32;
  acknowledgmentBE: u32;
  offsetReserved: u8;
  flags: u8;
  windowBE: u16;
  checksum: u16;
  urgentBE: u16;

  @inline static at(p: usize): Tcp {
    return changetype<Tcp>(p);
  }
  @inline get headerLength(): u32 {
    return (<u32>this.offsetReserved >> 4) << 2;
  }
}
if (offsetof<Tcp>() != 20) ERROR("Tcp must be 20 bytes");

export const TCP_HEADER: u32 = 20;
export const TCP_FIN: u32 = 1;
export const TCP_SYN: u32 = 2;
export const TCP_RST: u32 = 4;
export const TCP_ACK: u32 = 16;

/** Address of the value of the MSS option (RFC 9293 §3.7.1), or 0. `end` is the end of the TCP header. */
export function mssOption(tcp: usize, end: usize): usize {
  let p = tcp + TCP_HEADER;
  while (p + 4 <= end) {
    const kind = load<u8>(p);
    if (kind == 0) return 0;
    if (kind == 1) {
      p++;
      continue;
    }
    const length: u32 = load<u8>(p, 1);
    if (length < 2) return 0;
    if (kind == 2) return length == 4 ? p + 2 : 0;
    p += length;
  }
  return 0;
}
