/**
 * Which ports of a pool address are taken towards one remote end, for protocols whose ports depend on it: a port serves a
 * destination once (RFC 7857 §2.5).
 * The first ports of a destination are a list; a busy destination gets a bitmap, so that a free port is found at any load.
 */
import { powerOfTwo, reserve } from "./arena";
import { mix } from "./hash";

/** Ports kept as a list before a destination needs a bitmap. */
const LISTED: u32 = 28;

@unmanaged
@final
export class Destination {
  remoteLo: u64;
  remoteHi: u64;
  pool: u16;
  remotePortBE: u16;
  count: u16;
  protocol: u8;
  /** How many of its ports are in the list: of a count beyond, while there is no bitmap for it, the first ones. */
  listed: u8;
  /** 65,536 bits, or 0: the ports are in the list. */
  bitmap: usize;
  /** Next in the bucket, or in the free list. */
  next: usize;
}
if (offsetof<Destination>() != 32) ERROR("Destination must be 32 bytes");
const LIST: usize = 32;
const SIZE: usize = 32 + 2 * 28;
const BITMAP_BYTES: usize = 8192;
/** Destinations that can be busy at once; the others fall back to probing. */
const BITMAPS: u32 = 1024;

let table: usize = 0;
let buckets: usize = 0;
let mask: u32 = 0;
let max: u32 = 0;
let used: u32 = 0;
let free: usize = 0;
let bitmaps: usize = 0;
let bitmapsUsed: u32 = 0;
let freeBitmap: usize = 0;

export function initDestinations(count: u32): bool {
  max = count;
  mask = powerOfTwo(count) - 1;
  table = reserve(<u64>count * SIZE);
  buckets = reserve((<u64>mask + 1) << 2);
  bitmaps = reserve(<u64>BITMAPS * BITMAP_BYTES);
  return table != 0 && buckets != 0 && bitmaps != 0;
}

// @ts-ignore: decorator
@inline
function bucketOf(pool: u32, remoteLo: u64, remoteHi: u64, remotePortBE: u32, protocol: u32): usize {
  const word = (<u64>protocol << 32) | (pool << 16) | remotePortBE;
  return buckets + ((<usize>mix(remoteLo ^ mix(remoteHi ^ word)) & mask) << 2);
}

function find(bucket: usize, pool: u32, remoteLo: u64, remoteHi: u64, remotePortBE: u32, protocol: u32): Destination | null {
  let p = load<u32>(bucket);
  while (p != 0) {
    const d = changetype<Destination>(p);
    if (
      d.remoteHi == remoteHi &&
      d.remoteLo == remoteLo &&
      d.remotePortBE == remotePortBE &&
      d.pool == pool &&
      d.protocol == protocol
    )
      return d;
    p = <u32>d.next;
  }
  return null;
}

/** The record of a remote end as seen from a pool address, made if need be; null when there is no room. */
export function destinationOf(
  pool: u32,
  remoteLo: u64,
  remoteHi: u64,
  remotePortBE: u32,
  protocol: u32,
): Destination | null {
  const bucket = bucketOf(pool, remoteLo, remoteHi, remotePortBE, protocol);
  const known = find(bucket, pool, remoteLo, remoteHi, remotePortBE, protocol);
  if (known != null) return known;
  let fresh = free;
  if (fresh != 0) free = changetype<Destination>(fresh).next;
  else if (used < max) fresh = table + <usize>(used++) * SIZE;
  else return null;
  const d = changetype<Destination>(fresh);
  d.remoteLo = remoteLo;
  d.remoteHi = remoteHi;
  d.pool = <u16>pool;
  d.remotePortBE = <u16>remotePortBE;
  d.protocol = <u8>protocol;
  d.count = 0;
  d.listed = 0;
  d.bitmap = 0;
  d.next = load<u32>(bucket);
  store<u32>(bucket, <u32>fresh);
  return d;
}

// @ts-ignore: decorator
@inline
function listedAt(d: Destination, i: u32): usize {
  return changetype<usize>(d) + LIST + (<usize>i << 1);
}

/** The port (host order) is taken from here on. */
export function notePort(d: Destination, port: u32): void {
  if (d.bitmap == 0 && d.listed == LISTED) giveBitmap(d);
  if (d.bitmap != 0) setBit(d.bitmap, port);
  else if (d.listed < LISTED) store<u16>(listedAt(d, d.listed++), <u16>port);
  d.count++;
}

/** The port is free again; the last one gives the record back. */
export function forgetPort(d: Destination, port: u32): void {
  if (d.bitmap != 0) {
    clearBit(d.bitmap, port);
  } else {
    for (let i: u32 = 0; i < d.listed; i++) {
      if (load<u16>(listedAt(d, i)) != port) continue;
      store<u16>(listedAt(d, i), load<u16>(listedAt(d, --d.listed)));
      break;
    }
  }
  d.count--;
  if (d.count == 0) give(d);
}

/** A port is free again that was never noted: its session found no record, but a later search may have come upon it. */
export function forgetUnnoted(
  pool: u32,
  remoteLo: u64,
  remoteHi: u64,
  remotePortBE: u32,
  protocol: u32,
  port: u32,
): void {
  const bucket = bucketOf(pool, remoteLo, remoteHi, remotePortBE, protocol);
  const d = find(bucket, pool, remoteLo, remoteHi, remotePortBE, protocol);
  if (d != null && d.bitmap != 0) clearBit(d.bitmap, port);
}

/** A record that no port was noted in. */
export function dropUnused(d: Destination): void {
  if (d.count == 0) give(d);
}

function give(d: Destination): void {
  const p = changetype<usize>(d);
  let link = bucketOf(d.pool, d.remoteLo, d.remoteHi, d.remotePortBE, d.protocol);
  while (load<u32>(link) != <u32>p) link = <usize>load<u32>(link) + offsetof<Destination>("next");
  store<u32>(link, <u32>d.next);
  if (d.bitmap != 0) {
    store<u32>(d.bitmap, <u32>freeBitmap);
    freeBitmap = d.bitmap;
  }
  d.next = free;
  free = p;
}

/** Without a free bitmap the list stays as it is, and ports beyond it are found by probing. */
function giveBitmap(d: Destination): void {
  let p = freeBitmap;
  if (p != 0) freeBitmap = load<u32>(p);
  else if (bitmapsUsed < BITMAPS) p = bitmaps + <usize>(bitmapsUsed++) * BITMAP_BYTES;
  else return;
  memory.fill(p, 0, BITMAP_BYTES);
  for (let i: u32 = 0; i < LISTED; i++) setBit(p, load<u16>(listedAt(d, i)));
  d.bitmap = p;
}

// @ts-ignore: decorator
@inline
function setBit(bitmap: usize, port: u32): void {
  const p = bitmap + (port >> 3);
  store<u8>(p, load<u8>(p) | (<u8>1 << <u8>(port & 7)));
}

// @ts-ignore: decorator
@inline
function clearBit(bitmap: usize, port: u32): void {
  const p = bitmap + (port >> 3);
  store<u8>(p, load<u8>(p) & ~(<u8>1 << <u8>(port & 7)));
}
