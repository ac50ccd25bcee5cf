/**
 * Which port (or ICMP identifier) of a pool address a binding gets. The order is keyed (RFC 6056 §3.3.3): unpredictable
 * from outside. Ports here are in host order.
 */
import { sipEnd, sipStart, sipWord } from "./hash";
import { PoolAddress } from "./snat-pool";

/** Where the search for a port starts: a keyed hash of the inner endpoint (and, for TCP, of the remote end). */
export function portHash(innerLo: u64, innerHi: u64, remoteLo: u64, remoteHi: u64, portsAndProtocol: u64): u64 {
  sipStart();
  sipWord(innerLo);
  sipWord(innerHi);
  sipWord(remoteLo);
  sipWord(remoteHi);
  sipWord(portsAndProtocol);
  return sipEnd(40);
}

/** Takes the first free port at or after the keyed start, cyclically; 0 when none is free. */
export function takePort(bitmap: usize, address: PoolAddress, hash: u64): u32 {
  const count = address.lastPort - address.firstPort + 1;
  const start = address.firstPort + <u32>(hash % count);
  let port = firstFree(bitmap, start, address.lastPort);
  if (port == 0) port = firstFree(bitmap, address.firstPort, start - 1);
  if (port != 0) {
    const p = bitmap + (port >> 3);
    store<u8>(p, load<u8>(p) | (<u8>1 << <u8>(port & 7)));
  }
  return port;
}

export function givePort(bitmap: usize, port: u32): void {
  const p = bitmap + (port >> 3);
  store<u8>(p, load<u8>(p) & ~((<u8>1 << <u8>(port & 7))));
}

/** First clear bit in [from, to], 64 at a time; 0 when there is none (port 0 is never in a range). */
function firstFree(bitmap: usize, from: u32, to: u32): u32 {
  if (from > to) return 0;
  let word = from >> 6;
  const last = to >> 6;
  let free = ~load<u64>(bitmap + (word << 3)) & (~(<u64>0) << (from & 63));
  while (free == 0 && word < last) {
    word++;
    free = ~load<u64>(bitmap + (word << 3));
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
