/**
 * What becomes of a packet: its addresses and ports on the way out. A session fills it (aim.ts), or an address mapping
 * without state; translation and rewriting know nothing else. Addresses as address.ts forms them.
 */
@unmanaged
@final
export class Target {
  sourceLo: u64;
  sourceHi: u64;
  destinationLo: u64;
  destinationHi: u64;
  /** Wire order. An ICMP echo has its identifier in both. */
  sourcePortBE: u32;
  destinationPortBE: u32;
  /**
   * Folded: what the change of addresses adds to the transport checksum. For ICMP between versions: the addresses of the
   * IPv6 side alone, positive towards IPv6 (ICMPv4 has no pseudo-header).
   */
  delta: u32;
  reserved: u32;

  /** Addresses of the two 16-byte addresses. */
  @inline get source(): usize {
    return changetype<usize>(this) + offsetof<Target>("sourceLo");
  }
  @inline get destination(): usize {
    return changetype<usize>(this) + offsetof<Target>("destinationLo");
  }
}
if (offsetof<Target>() != 48) ERROR("Target must be 48 bytes");

const RECORD = memory.data(48, 16);
const QUOTED = memory.data(48, 16);

/** Of the packet in hand. */
export const target: Target = changetype<Target>(RECORD);
/** Of the packet that it quotes, when it is an ICMP error. */
export const quotedTarget: Target = changetype<Target>(QUOTED);
