/**
 * ICMPv4 error → ICMPv6 error: type, code and the second word (pointer, MTU). RFC 7915 §4.2. The quoted packet is
 * translated by translate-error.ts; here is only the table.
 */

/** Result of mapError46: type, code, and the word behind the checksum (host order). */
export let type46: u32 = 0;
export let code46: u32 = 0;
export let word46: u32 = 0;

/** RFC 1191 §7.1: the greatest plateau below the length that was too big, for routers that tell no MTU. */
function plateau(length: u32): u32 {
  if (length > 32000) return 32000;
  if (length > 17914) return 17914;
  if (length > 8166) return 8166;
  if (length > 4352) return 4352;
  if (length > 2002) return 2002;
  if (length > 1492) return 1492;
  if (length > 1006) return 1006;
  if (length > 508) return 508;
  if (length > 296) return 296;
  return 68;
}

/**
 * `word` is the word behind the checksum, `quotedLength` the total length that the quoted IPv4 header gives, the MTUs are
 * those of the next hops. False: the error has no counterpart and is dropped silently.
 */
export function mapError46(type: u32, code: u32, word: u32, quotedLength: u32, mtu4: u32, mtu6: u32): bool {
  word46 = 0;
  switch (type) {
    case 3:
      return unreachable(code, word, quotedLength, mtu4, mtu6);
    case 11:
      type46 = 3;
      code46 = code;
      return true;
    case 12:
      // Pointer indicates the error, or bad length; a missing option (1) has no counterpart.
      type46 = 4;
      code46 = 0;
      return (code == 0 || code == 2) && pointer(word >> 24);
    default:
      return false;
  }
}

function unreachable(code: u32, word: u32, quotedLength: u32, mtu4: u32, mtu6: u32): bool {
  type46 = 1;
  switch (code) {
    case 0:
    case 1:
    case 5:
    case 6:
    case 7:
    case 8:
    case 11:
    case 12:
      code46 = 0;
      return true;
    case 2:
      // Protocol unreachable: 'unrecognized next header', the pointer at the field of that name.
      type46 = 4;
      code46 = 1;
      word46 = 6;
      return true;
    case 3:
      code46 = 4;
      return true;
    case 4: {
      type46 = 2;
      code46 = 0;
      const told = word & 0xffff;
      const advertised = told != 0 ? told : plateau(max(quotedLength, 1));
      word46 = max(1280, min(advertised + 20, min(mtu6, mtu4 + 20)));
      return true;
    }
    case 9:
    case 10:
    case 13:
    case 15:
      code46 = 1;
      return true;
    default:
      return false;
  }
}

function pointer(at: u32): bool {
  if (at <= 1) word46 = at;
  else if (at <= 3) word46 = 4;
  else if (at == 8) word46 = 7;
  else if (at == 9) word46 = 6;
  else if (at >= 12 && at <= 15) word46 = 8;
  else if (at >= 16 && at <= 19) word46 = 24;
  else return false;
  return true;
}
