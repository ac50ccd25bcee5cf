/**
 * A port that a binding gave back rests before another gets it (RFC 6888 REQ-8: 120 s), so that late packets of the old
 * flow don't reach the new one. Under want the oldest resting ports are used first. (TCP needs none of this: a session
 * that has ended keeps its port for its transitory time.)
 */
import { limits } from "./limits";
import { givePort } from "./port-pool";
import { poolAddress } from "./snat-pool";

@unmanaged
@final
class Resting {
  bitmap: usize;
  pool: u16;
  generation: u16;
  port: u16;
  reserved: u16;
  sinceMs: u32;
}
if (offsetof<Resting>() != 16) ERROR("Resting must be 16 bytes");

const PLACES: u32 = 65_536;
const RING = memory.data(16 * 65_536, 16);
let first: u32 = 0;
let count: u32 = 0;

// @ts-ignore: decorator
@inline
function resting(i: u32): Resting {
  return changetype<Resting>(RING + (<usize>((first + i) & (PLACES - 1)) << 4));
}

/** The port's bit in `bitmap` stays set until it has rested. */
export function restPort(bitmap: usize, pool: u32, port: u32, nowMs: u32): void {
  if (limits.holdDownMs == 0) {
    givePort(bitmap, port);
    return;
  }
  if (count == PLACES) releaseFirst();
  const r = resting(count++);
  r.bitmap = bitmap;
  r.pool = <u16>pool;
  r.generation = <u16>poolAddress(pool).generation;
  r.port = <u16>port;
  r.sinceMs = nowMs;
}

function releaseFirst(): void {
  const r = resting(0);
  // The bitmap of a removed address belongs to its successor.
  if (r.generation == poolAddress(r.pool).generation) givePort(r.bitmap, r.port);
  first++;
  count--;
}

/** Frees what has rested long enough. */
export function expireResting(nowMs: u32): void {
  while (count > 0 && nowMs - resting(0).sinceMs >= limits.holdDownMs) releaseFirst();
}

/** No port is free in `bitmap`: the oldest that rest there are freed. False when none rests. */
export function wakePorts(bitmap: usize): bool {
  let found = false;
  while (count > 0 && !found) {
    found = resting(0).bitmap == bitmap && resting(0).generation == poolAddress(resting(0).pool).generation;
    releaseFirst();
  }
  return found;
}
