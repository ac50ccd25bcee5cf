/**
 * Binding information base (RFC 6146 §3.1) for the protocols that are mapped independently of the remote end (RFC 4787
 * REQ-1; behaviour.ts): one inner endpoint keeps one outer port for all its destinations. A session of another protocol
 * holds its own binding, so that a port serves many destinations (RFC 7857 §2.5).
 */
import { powerOfTwo, reserve } from "./arena";
import { counters } from "./counters";
import { mix } from "./hash";
import { restPort, wakePort } from "./hold-down";
import { countAllocated, countReleased } from "./pool-use";
import { portBlocks } from "./port-blocks";
import { chosenFirst, chosenLast, chosenPool } from "./port-choice";
import { givePort, portHash, preferredPorts, takePort } from "./port-pool";
import { PROTOCOL_TCP } from "./protocol";
import { poolAddress, portBitmap } from "./snat-pool";

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
  /** Next in the bucket of its outer port. */
  nextOuter: usize;
}
if (offsetof<Binding>() != 40) ERROR("Binding must be 40 bytes");
const SIZE: usize = 40;

let table: usize = 0;
let buckets: usize = 0;
let outerBuckets: usize = 0;
let mask: u32 = 0;
let max: u32 = 0;
let used: u32 = 0;
let free: usize = 0;

export function initBindings(count: u32): bool {
  max = count;
  mask = powerOfTwo(count) - 1;
  table = reserve(<u64>count * SIZE);
  buckets = reserve((<u64>mask + 1) << 2);
  outerBuckets = reserve((<u64>mask + 1) << 2);
  return table != 0 && buckets != 0 && outerBuckets != 0;
}

// @ts-ignore: decorator
@inline
function bucketOf(innerLo: u64, innerHi: u64, portBE: u32, protocol: u32, family: u32): usize {
  const word = (<u64>portBE << 16) | (protocol << 8) | family;
  return buckets + ((<usize>mix(innerLo ^ mix(innerHi ^ word)) & mask) << 2);
}

// @ts-ignore: decorator
@inline
function outerBucketOf(pool: u32, outerPortBE: u32, protocol: u32): usize {
  return outerBuckets + ((<usize>mix((<u64>pool << 32) | (outerPortBE << 8) | protocol) & mask) << 2);
}

// @ts-ignore: decorator
@inline
function bitmapOf(binding: Binding): usize {
  return portBitmap(poolAddress(binding.pool), binding.protocol);
}

/** What a session holds is a binding, not a Destination. */
export function isBinding(p: usize): bool {
  return p >= table && p < table + <usize>max * SIZE;
}

/** The live binding that has an outer port of a pool address, or null. */
export function findOuter(pool: u32, outerPortBE: u32, protocol: u32): Binding | null {
  let p = load<u32>(outerBucketOf(pool, outerPortBE, protocol));
  while (p != 0) {
    const b = changetype<Binding>(p);
    if (
      b.outerPortBE == outerPortBE &&
      b.pool == pool &&
      b.protocol == protocol &&
      b.poolGeneration == poolAddress(pool).generation
    )
      return b;
    p = <u32>b.nextOuter;
  }
  return null;
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

/** A new binding out of what choosePorts chose, or null when no port of it is free (or the table has no place). */
export function makeBinding(
  innerLo: u64,
  innerHi: u64,
  portBE: u32,
  protocol: u32,
  family: u32,
): Binding | null {
  let p = free;
  if (p != 0) free = changetype<Binding>(p).next;
  else if (used < max) p = table + <usize>(used++) * SIZE;
  else return null;
  const b = changetype<Binding>(p);
  const address = poolAddress(chosenPool);
  b.pool = <u16>chosenPool;
  b.protocol = <u8>protocol;
  const hash = portHash(innerLo, innerHi, 0, 0, (<u64>portBE << 16) | (protocol << 8) | family);
  const preferred = preferredPorts(protocol, portBE);
  let port = takePort(bitmapOf(b), chosenFirst, chosenLast, hash, preferred);
  if (port == 0 && rests(protocol) && wakePort(chosenPool, protocol))
    port = takePort(bitmapOf(b), chosenFirst, chosenLast, hash, preferred);
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
  const outer = outerBucketOf(chosenPool, b.outerPortBE, protocol);
  b.nextOuter = load<u32>(outer);
  store<u32>(outer, <u32>p);
  counters.bindings++;
  countAllocated(chosenPool, protocol);
  return b;
}

/** Not for TCP, whose sessions have ended before they go, nor in a block, which is the same Pod's always (RFC 6888 REQ-8 A, B). */
function rests(protocol: u32): bool {
  return protocol != PROTOCOL_TCP && portBlocks.size == 0;
}

/** One session less; the last one gives the port back, and it may have to rest. */
export function releaseBinding(b: Binding, nowMs: u32): void {
  if (b.sessions > 0) b.sessions--;
  if (b.sessions > 0) return;
  const p = changetype<usize>(b);
  let link = bucketOf(b.innerLo, b.innerHi, b.innerPortBE, b.protocol, b.family);
  while (load<u32>(link) != <u32>p) link = <usize>load<u32>(link) + offsetof<Binding>("next");
  store<u32>(link, <u32>b.next);
  link = outerBucketOf(b.pool, b.outerPortBE, b.protocol);
  while (load<u32>(link) != <u32>p) link = <usize>load<u32>(link) + offsetof<Binding>("nextOuter");
  store<u32>(link, <u32>b.nextOuter);
  // The bitmap of a removed address belongs to its successor.
  if (b.poolGeneration == poolAddress(b.pool).generation) {
    const port = bswap<u16>(b.outerPortBE);
    if (rests(b.protocol)) restPort(b.pool, b.protocol, port, nowMs);
    else givePort(bitmapOf(b), port);
    countReleased(b.pool, b.protocol);
  }
  b.next = free;
  free = p;
  counters.bindings--;
}
