/** Socket addresses as Envoy prints them: `10.0.0.1:80`, `[2001:db8::1]:443`. */
import { mappedHi } from "../core/address";

/** What parseEndpoint() read; addresses in the form of core/address.ts, the port in host order. */
export let endpointLo: u64 = 0;
export let endpointHi: u64 = 0;
export let endpointPort: u32 = 0;

let at: usize = 0;
let end: usize = 0;
const GROUPS = memory.data(16, 16);

/** False: it is not one, or not an IP one. */
export function parseEndpoint(p: usize, size: u32): bool {
  at = p;
  end = p + size;
  if (size == 0) return false;
  if (load<u8>(p) == 0x5b) {
    at++;
    if (!parse6() || !skip(0x5d)) return false;
  } else {
    const address = parse4();
    if (address < 0) return false;
    endpointLo = 0;
    endpointHi = mappedHi(bswap<u32>(<u32>address));
  }
  if (!skip(0x3a)) return false;
  const port = number(65535);
  if (port < 0 || at != end) return false;
  endpointPort = <u32>port;
  return true;
}

function skip(byte: u32): bool {
  if (at >= end || load<u8>(at) != byte) return false;
  at++;
  return true;
}

/** Decimal, or -1. */
function number(most: u32): i32 {
  let value: u32 = 0;
  const start = at;
  while (at < end) {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit > 9) break;
    value = value * 10 + digit;
    if (value > most) return -1;
    at++;
  }
  return at == start ? -1 : <i32>value;
}

/** Host order, or -1. */
function parse4(): i64 {
  let address: u32 = 0;
  for (let i: u32 = 0; i < 4; i++) {
    if (i > 0 && !skip(0x2e)) return -1;
    const octet = number(255);
    if (octet < 0) return -1;
    address = (address << 8) | <u32>octet;
  }
  return <i64>address;
}

function hexDigit(byte: u32): u32 {
  if (byte - 0x30 < 10) return byte - 0x30;
  const letter = (byte | 0x20) - 0x61;
  return letter < 6 ? letter + 10 : 16;
}

/** Up to the closing bracket; RFC 4291 §2.2, with `::` and an IPv4 address at the end. */
function parse6(): bool {
  let count: u32 = 0;
  let gap: i32 = -1;
  memory.fill(GROUPS, 0, 16);
  if (at + 1 < end && load<u8>(at) == 0x3a) {
    if (load<u8>(at + 1) != 0x3a) return false;
    gap = 0;
    at += 2;
  }
  while (at < end && load<u8>(at) != 0x5d) {
    if (count == 8) return false;
    const start = at;
    let value: u32 = 0;
    while (at < end && hexDigit(load<u8>(at)) < 16) {
      value = (value << 4) | hexDigit(load<u8>(at++));
      if (at - start > 4) return false;
    }
    if (at == start) return false;
    if (at < end && load<u8>(at) == 0x2e) {
      at = start;
      const tail = parse4();
      if (tail < 0 || count > 6) return false;
      store<u32>(GROUPS + (count << 1), bswap<u32>(<u32>tail));
      count += 2;
      break;
    }
    store<u16>(GROUPS + (count << 1), bswap<u16>(<u16>value));
    count++;
    if (!skip(0x3a)) break;
    if (at < end && load<u8>(at) == 0x3a) {
      if (gap >= 0) return false;
      gap = count;
      at++;
    } else if (at >= end || load<u8>(at) == 0x5d) return false;
  }
  if (gap < 0 ? count != 8 : count > 7) return false;
  if (gap >= 0) {
    const tail = (count - <u32>gap) << 1;
    const from = GROUPS + (<u32>gap << 1);
    memory.copy(GROUPS + 16 - tail, from, tail);
    memory.fill(from, 0, (8 - count) << 1);
  }
  endpointLo = load<u64>(GROUPS);
  endpointHi = load<u64>(GROUPS, 8);
  return true;
}
