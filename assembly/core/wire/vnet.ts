/**
 * The virtio-net header that stands before each packet on the TUN device (virtio 1.2 §5.1.6; host byte order). It
 * carries segmentation and checksum offload: one packet may be many segments.
 */
@unmanaged
@final
export class Vnet {
  flags: u8;
  gsoType: u8;
  headerLength: u16;
  gsoSize: u16;
  checksumStart: u16;
  checksumOffset: u16;
  buffers: u16;

  @inline static at(p: usize): Vnet {
    return changetype<Vnet>(p);
  }
}
if (offsetof<Vnet>() != 12) ERROR("Vnet must be 12 bytes");

export const VNET_HEADER: u32 = 12;
/** The checksum field holds the pseudo-header sum; whoever sends the packet completes it. */
export const VNET_NEEDS_CHECKSUM: u32 = 1;
/** The device has verified the checksum. */
export const VNET_CHECKSUM_VALID: u32 = 2;
export const GSO_NONE: u32 = 0;
export const GSO_TCP4: u32 = 1;
export const GSO_TCP6: u32 = 4;
/** UDP segmentation: gsoSize marks the datagram boundaries and must never change. */
export const GSO_UDP: u32 = 5;
export const GSO_ECN: u32 = 0x80;
