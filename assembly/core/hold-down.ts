/**
 * A port that a binding gave back rests before another gets it (RFC 6888 REQ-8: 120 s), so that late packets of the old
 * flow don't reach the new one. Under want the oldest port that rests there is used first. (TCP needs none of this: a
 * session that has ended keeps its port for its transitory time.)
 *
 * One ring in the order of time; those of one address and protocol are a list in it.
 */
import { limits } from "./limits";
import { givePort } from "./port-pool";
import { PROTOCOL_UDP } from "./protocol";
import { MAX_POOL_ADDRESSES, poolAddress, portBitmap } from "./snat-pool";

@unmanaged
@final
class Resting {
  pool: u16;
  generation: u16;
  port: u16;
  /** Place of the next of its list. */
  next: u16;
  sinceMs: u32;
  protocol: u8;
  /** Its port has been given back already. */
  awake: bool;
  reserved: u16;
}
if (offsetof<Resting>() != 16) ERROR("Resting must be 16 bytes");

@unmanaged
@final
class List {
  /** Places of its oldest and its latest. */
  head: u16;
  tail: u16;
  count: u32;
}
if (offsetof<List>() != 8) ERROR("List must be 8 bytes");

const PLACES: u32 = 65_536;
const RING = memory.data(16 * 65_536, 16);
/** UDP's and ICMP's of each pool address. */
const LISTS = memory.data(8 * 2 * 1024, 16);
if (MAX_POOL_ADDRESSES != 1024) ERROR("two lists for each pool address");
let first: u32 = 0;
let count: u32 = 0;

// @ts-ignore: decorator
@inline
function resting(place: u32): Resting {
  return changetype<Resting>(RING + (<usize>(place & (PLACES - 1)) << 4));
}

function listOf(pool: u32, protocol: u32): List {
  return changetype<List>(LISTS + (<usize>(pool * 2 + (protocol == PROTOCOL_UDP ? 0 : 1)) << 3));
}

/** The port's bit stays set until it has rested. UDP or ICMP. */
export function restPort(pool: u32, protocol: u32, port: u32, nowMs: u32): void {
  if (limits.holdDownMs == 0) {
    givePort(portBitmap(poolAddress(pool), protocol), port);
    return;
  }
  if (count == PLACES) releaseFirst();
  const place = first + count++;
  const r = resting(place);
  r.pool = <u16>pool;
  r.generation = <u16>poolAddress(pool).generation;
  r.port = <u16>port;
  r.sinceMs = nowMs;
  r.protocol = <u8>protocol;
  r.awake = false;
  const list = listOf(pool, protocol);
  if (list.count == 0) list.head = <u16>place;
  else resting(list.tail).next = <u16>place;
  list.tail = <u16>place;
  list.count++;
}

/** Frees the oldest of a list; false when its address was removed: the bitmap belongs to a successor. */
function wakeFirst(list: List): bool {
  const r = resting(list.head);
  r.awake = true;
  list.head = r.next;
  list.count--;
  const address = poolAddress(r.pool);
  if (r.generation != address.generation) return false;
  givePort(portBitmap(address, r.protocol), r.port);
  return true;
}

function releaseFirst(): void {
  const r = resting(first);
  // The oldest of all is the oldest of its list.
  if (!r.awake) wakeFirst(listOf(r.pool, r.protocol));
  first++;
  count--;
}

/** Frees what has rested long enough. */
export function expireResting(nowMs: u32): void {
  while (count > 0 && nowMs - resting(first).sinceMs >= limits.holdDownMs) releaseFirst();
}

/** No port of the protocol is free: the one that has rested longest there is. False when none rests. UDP or ICMP. */
export function wakePort(pool: u32, protocol: u32): bool {
  const list = listOf(pool, protocol);
  while (list.count > 0) if (wakeFirst(list)) return true;
  return false;
}
