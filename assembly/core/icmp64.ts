/**
 * ICMPv6 error → ICMPv4 error: type, code and the second word (pointer, MTU). RFC 7915 §5.2.
 */
/** Result of mapError64: type, code, and the word behind the checksum (host order). */
export let type64: u32 = 0;
export let code64: u32 = 0;
export let word64: u32 = 0;

/** `word` is the word behind the checksum, the MTUs are those of the next hops. False: the error has no counterpart and is dropped silently. */
export function mapError64(type: u32, code: u32, word: u32, mtu4: u32, mtu6: u32): bool {
  word64 = 0;
  switch (type) {
    case 1:
      type64 = 3;
      if (code == 0 || code == 2 || code == 3) code64 = 1;
      else if (code == 1) code64 = 10;
      else if (code == 4) code64 = 3;
      else return false;
      return true;
    case 2:
      type64 = 3;
      code64 = 4;
      word64 = min(min(max(word, 20) - 20, 0xffff), min(mtu4, mtu6 - 20));
      return true;
    case 3:
      type64 = 11;
      code64 = code;
      return true;
    case 4:
      if (code == 1) {
        type64 = 3;
        code64 = 2;
        return true;
      }
      type64 = 12;
      code64 = 0;
      return code == 0 && pointer(word);
    default:
      return false;
  }
}

function pointer(at: u32): bool {
  let to: u32;
  if (at <= 1) to = at;
  else if (at == 4 || at == 5) to = 2;
  else if (at == 6) to = 9;
  else if (at == 7) to = 8;
  else if (at >= 8 && at <= 23) to = 12;
  else if (at >= 24 && at <= 39) to = 16;
  else return false;
  word64 = to << 24;
  return true;
}
