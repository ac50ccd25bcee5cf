/**
 * RFC 8200 §4.5
 *
 * |  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
 * |                         Identification                        |
 */
@unmanaged
@final
export class Fragment {
  nextHeader: u8;
  reserved: u8;
  offsetMoreBE: u16;
  identificationBE: u32;

  @inline static at(p: usize): Fragment {
    return changetype<Fragment>(p);
  }
}
if (offsetof<Fragment>() != 8) ERROR("Fragment must be 8 bytes");

export const FRAGMENT_HEADER: u32 = 8;
