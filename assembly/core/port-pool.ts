/**
 * Which port (or ICMP identifier) of a pool address a binding gets. The order is keyed (RFC 6056 §3.3.3): unpredictable
 * from outside. Ports here are in host order.
 */
import { sipEnd, sipStart, sipWord } from "./hash";
import { PROTOCOL_UDP } from "./protocol";

/** Where the search for a port starts: a keyed hash of the inner endpoint (and, for ports by remote end, of that). */
export function portHash(innerLo: u64, innerHi: u64, remoteLo: u64, remoteHi: u64, portsAndProtocol: u64): u64 {
  sipStart();
  sipWord(innerLo);
  sipWord(innerHi);
  sipWord(remoteLo);
  sipWord(remoteHi);
  sipWord(portsAndProtocol);
  return sipEnd(40);
}

/** Any port, the even and the odd ones, as masks of a bitmap's word. */
export const ANY_PORT: u64 = ~(<u64>0);
const EVEN_PORTS: u64 = 0x5555555555555555;
const ODD_PORTS: u64 = 0xaaaaaaaaaaaaaaaa;

/** RFC 4787 REQ-4: a UDP port keeps its parity where that is possible (RTP's is even, RTCP's odd). */
export function preferredPorts(protocol: u32, innerPortBE: u32): u64 {
  if (protocol != PROTOCOL_UDP) return ANY_PORT;
  return (innerPortBE & 0x100) != 0 ? ODD_PORTS : EVEN_PORTS;
}

/**
 * Takes the first free port in [first, last] at or after the keyed start, cyclically; one that isn't preferred only when
 * no other is free. 0 = none is.
 */
export function takePort(bitmap: usize, first: u32, last: u32, hash: u64, preferred: u64): u32 {
  const start = first + <u32>(hash % (last - first + 1));
  let port = firstFree(bitmap, start, last, preferred);
  if (port == 0) port = firstFree(bitmap, first, start - 1, preferred);
  if (port != 0) {
    const p = bitmap + (port >> 3);
    store<u8>(p, load<u8>(p) | (<u8>1 << <u8>(port & 7)));
  } else if (preferred != ANY_PORT) return takePort(bitmap, first, last, hash, ANY_PORT);
  return port;
}

export function givePort(bitmap: usize, port: u32): void {
  const p = bitmap + (port >> 3);
  store<u8>(p, load<u8>(p) & ~((<u8>1 << <u8>(port & 7))));
}

/** First clear bit in [from, to] that the mask has, 64 at a time; 0 when there is none (port 0 is never in a range). */
function firstFree(bitmap: usize, from: u32, to: u32, among: u64): u32 {
  if (from > to) return 0;
  let word = from >> 6;
  const last = to >> 6;
  let free = ~load<u64>(bitmap + (word << 3)) & among & (~(<u64>0) << (from & 63));
  while (free == 0 && word < last) {
    word++;
    free = ~load<u64>(bitmap + (word << 3)) & among;
  }
  if (free == 0) return 0;
  const port = (word << 6) + <u32>ctz<u64>(free);
  return port <= to ? port : 0;
}

/** A step for double hashing that visits every port of the range: coprime with its size. */
export function probeStep(count: u32, hash: u64): u32 {
  if (count == 1) return 1;
  let step = 1 + <u32>((hash >> 32) % (count - 1));
  while (gcd(step, count) != 1) step = step == count - 1 ? 1 : step + 1;
  return step;
}

function gcd(a: u32, b: u32): u32 {
  while (b != 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}
