/**
 * RFC 792 and RFC 4443 §2.1: both share the first eight bytes; for echo the last four are identifier, sequence.
 *
 * |     Type      |     Code      |          Checksum             |
 * |          Identifier           |        Sequence Number        |
 */
@unmanaged
@final
export class Icmp {
  type: u8;
  code: u8;
  checksum: u16;
  identifierBE: u16;
  sequenceBE: u16;

  @inline static at(p: usize): Icmp {
    return changetype<Icmp>(p);
  }
}
if (offsetof<Icmp>() != 8) ERROR("Icmp must be 8 bytes");

export const ICMP_HEADER: u32 = 8;

export const ICMP4_ECHO_REPLY: u32 = 0;
export const ICMP4_UNREACHABLE: u32 = 3;
export const ICMP4_ECHO: u32 = 8;
export const ICMP4_TIME_EXCEEDED: u32 = 11;
export const ICMP4_PARAMETER_PROBLEM: u32 = 12;

export const ICMP6_UNREACHABLE: u32 = 1;
export const ICMP6_TOO_BIG: u32 = 2;
export const ICMP6_TIME_EXCEEDED: u32 = 3;
export const ICMP6_PARAMETER_PROBLEM: u32 = 4;
export const ICMP6_ECHO: u32 = 128;
export const ICMP6_ECHO_REPLY: u32 = 129;
