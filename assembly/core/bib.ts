/**
 * Binding information base (RFC 6146 §3.1) for the protocols that are mapped independently of the remote end (UDP and
 * ICMP queries, RFC 4787 REQ-1): one inner endpoint keeps one outer port for all its destinations. A TCP session holds
 * its own binding, so that a port serves many destinations (RFC 7857 §2.5).
 */
import { powerOfTwo, reserve } from "./arena";
import { counters } from "./counters";
import { mix } from "./hash";
import { restPort, wakePorts } from "./hold-down";
import { countAllocated, countReleased } from "./pool-use";
import { portHash, takePort } from "./port-pool";
import { PROTOCOL_UDP } from "./protocol";
import { poolAddress } from "./snat-pool";

@unmanaged
@final
export class Binding {
  innerLo: u64;
  innerHi: u64;
  innerPortBE: u16;
  outerPortBE: u16;
  pool: u16;
  poolGeneration: u16;
  protocol: u8;
  /** Family of the outer side. */
  family: u8;
  reserved: u16;
  sessions: u32;
  /** Next in the bucket, or in the free list. */
  next: usize;
  reserved1: u32;
}
if (offsetof<Binding>() != 40) ERROR("Binding must be 40 bytes");
const SIZE: usize = 40;

let table: usize = 0;
let buckets: usize = 0;
let mask: u32 = 0;
let max: u32 = 0;
let used: u32 = 0;
let free: usize = 0;

export function initBindings(count: u32): bool {
  max = count;
  mask = powerOfTwo(count) - 1;
  table = reserve(<u64>count * SIZE);
  buckets = reserve((<u64>mask + 1) << 2);
  return table != 0 && buckets != 0;
}

// @ts-ignore: decorator
@inline
function bucketOf(innerLo: u64, innerHi: u64, portBE: u32, protocol: u32, family: u32): usize {
  const word = (<u64>portBE << 16) | (protocol << 8) | family;
  return buckets + ((<usize>mix(innerLo ^ mix(innerHi ^ word)) & mask) << 2);
}

// @ts-ignore: decorator
@inline
function bitmapOf(binding: Binding): usize {
  const address = poolAddress(binding.pool);
  return binding.protocol == PROTOCOL_UDP ? address.udpPorts : address.icmpIds;
}

/** The live binding of an inner endpoint (`after`: its next one), or null. */
export function findBinding(
  after: Binding | null,
  innerLo: u64,
  innerHi: u64,
  portBE: u32,
  protocol: u32,
  family: u32,
): Binding | null {
  let p: u32 =
    after == null ? load<u32>(bucketOf(innerLo, innerHi, portBE, protocol, family)) : <u32>after.next;
  while (p != 0) {
    const b = changetype<Binding>(p);
    if (
      b.innerHi == innerHi &&
      b.innerLo == innerLo &&
      b.innerPortBE == portBE &&
      b.protocol == protocol &&
      b.family == family &&
      b.poolGeneration == poolAddress(b.pool).generation
    )
      return b;
    p = <u32>b.next;
  }
  return null;
}

/** A new binding on the pool address, or null when it has no free port (or the table no place). */
export function makeBinding(
  innerLo: u64,
  innerHi: u64,
  portBE: u32,
  protocol: u32,
  family: u32,
  pool: u32,
): Binding | null {
  let p = free;
  if (p != 0) free = changetype<Binding>(p).next;
  else if (used < max) p = table + <usize>(used++) * SIZE;
  else return null;
  const b = changetype<Binding>(p);
  const address = poolAddress(pool);
  b.pool = <u16>pool;
  b.protocol = <u8>protocol;
  const hash = portHash(innerLo, innerHi, 0, 0, (<u64>portBE << 16) | (protocol << 8) | family);
  let port = takePort(bitmapOf(b), address, hash);
  if (port == 0 && wakePorts(bitmapOf(b))) port = takePort(bitmapOf(b), address, hash);
  if (port == 0) {
    b.next = free;
    free = p;
    return null;
  }
  b.innerLo = innerLo;
  b.innerHi = innerHi;
  b.innerPortBE = <u16>portBE;
  b.outerPortBE = bswap<u16>(<u16>port);
  b.poolGeneration = <u16>address.generation;
  b.family = <u8>family;
  b.sessions = 0;
  // Last in its bucket: the endpoint's first binding stays the one that new flows get.
  let link = bucketOf(innerLo, innerHi, portBE, protocol, family);
  while (load<u32>(link) != 0) link = <usize>load<u32>(link) + offsetof<Binding>("next");
  store<u32>(link, <u32>p);
  b.next = 0;
  counters.bindings++;
  countAllocated(pool, protocol);
  return b;
}

/** One session less; the last one gives the port back (it rests a while). */
export function releaseBinding(b: Binding, nowMs: u32): void {
  if (b.sessions > 0) b.sessions--;
  if (b.sessions > 0) return;
  const p = changetype<usize>(b);
  let link = bucketOf(b.innerLo, b.innerHi, b.innerPortBE, b.protocol, b.family);
  while (load<u32>(link) != <u32>p) link = <usize>load<u32>(link) + offsetof<Binding>("next");
  store<u32>(link, <u32>b.next);
  // The bitmap of a removed address belongs to its successor.
  if (b.poolGeneration == poolAddress(b.pool).generation) {
    restPort(bitmapOf(b), b.pool, bswap<u16>(b.outerPortBE), nowMs);
    countReleased(b.pool, b.protocol);
  }
  b.next = free;
  free = p;
  counters.bindings--;
}
