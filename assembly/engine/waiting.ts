/**
 * Packets to a DNS46 pool address that the engine doesn't know yet: they keep their slots while the host asks the
 * mapping store, for a bounded time. 'There is no such mapping' is believed for a moment, so that a port scan doesn't
 * become a flood of questions.
 */
import { countDrop } from "../core/counters";
import { mix } from "../core/hash";
import { limits } from "../core/limits";
import { DropReason, Verdict } from "../core/verdict";
import { detach, freeSlot, transmit } from "./slots";

@unmanaged
@final
class Waiting {
  nat4BE: u32;
  ip: usize;
  length: u32;
  slot: u32;
  sinceMs: u32;
  reserved: u32;
}

/** Packets that wait in all, and for one address. */
const MAX_WAITING: u32 = 64;
const MAX_PER_ADDRESS: u32 = 8;
const UNKNOWN_PLACES: u32 = 1024;
const LIST = memory.data(64 * 24, 8);
/** Address (wire order) and the time it was found to be unknown. */
const UNKNOWN = memory.data(1024 * 8, 8);
if (offsetof<Waiting>() != 24) ERROR("Waiting must be 24 bytes");

let count: u32 = 0;

// @ts-ignore: decorator
@inline
function waiting(i: u32): Waiting {
  return changetype<Waiting>(LIST + <usize>i * offsetof<Waiting>());
}

// @ts-ignore: decorator
@inline
function unknownPlace(nat4BE: u32): usize {
  return UNKNOWN + ((<usize>mix(nat4BE) & (UNKNOWN_PLACES - 1)) << 3);
}

/** Place `i` of the receive ring waits for `nat4BE`; the first one for an address makes the host ask. */
export function wait(i: u32, nat4BE: u32, ip: usize, length: u32, nowMs: u32): DropReason {
  const place = unknownPlace(nat4BE);
  if (load<u32>(place) == nat4BE && nowMs - load<u32>(place, 4) < limits.mappingUnknownMs)
    return DropReason.MAPPING_UNKNOWN;
  let same: u32 = 0;
  for (let w: u32 = 0; w < count; w++) same += waiting(w).nat4BE == nat4BE ? 1 : 0;
  if (count == MAX_WAITING || same == MAX_PER_ADDRESS) return DropReason.MAPPING_QUEUE_FULL;
  if (same == 0 && !transmit(0, 0, Verdict.ASK_MAPPING, 0, nat4BE)) return DropReason.OUTPUT_FULL;
  const slot = detach(i);
  if (slot < 0) return DropReason.MAPPING_QUEUE_FULL;
  const w = waiting(count++);
  w.nat4BE = nat4BE;
  w.ip = ip;
  w.length = length;
  w.slot = slot;
  w.sinceMs = nowMs;
  return DropReason.NONE;
}

/** The list stays in the order of arrival. */
function removeAt(i: u32): void {
  count--;
  const p = changetype<usize>(waiting(i));
  memory.copy(p, p + offsetof<Waiting>(), <usize>(count - i) * offsetof<Waiting>());
}

/** Takes the oldest packet that waited for `nat4BE` off the list: its record is in `released…`; false when there is none. */
export let releasedIp: usize = 0;
export let releasedLength: u32 = 0;
export let releasedSlot: u32 = 0;
export function release(nat4BE: u32): bool {
  let found: u32 = 0;
  while (found < count && waiting(found).nat4BE != nat4BE) found++;
  if (found == count) return false;
  const w = waiting(found);
  releasedIp = w.ip;
  releasedLength = w.length;
  releasedSlot = w.slot;
  removeAt(found);
  return true;
}

/** The store has no such mapping (or doesn't answer: `reason`): what waits for it is dropped. */
export function giveUp(nat4BE: u32, reason: DropReason, nowMs: u32): void {
  const place = unknownPlace(nat4BE);
  store<u32>(place, nat4BE);
  store<u32>(place, nowMs, 4);
  while (release(nat4BE)) {
    countDrop(reason);
    freeSlot(releasedSlot);
  }
}

/** The mapping has come: 'unknown' is forgotten. */
export function nowKnown(nat4BE: u32): void {
  const place = unknownPlace(nat4BE);
  if (load<u32>(place) == nat4BE) store<u32>(place, 0);
}

/** Drops what has waited too long. */
export function expireWaiting(nowMs: u32): void {
  for (let i: u32 = 0; i < count; )
    if (nowMs - waiting(i).sinceMs > limits.mappingWaitMs) giveUp(waiting(i).nat4BE, DropReason.MAPPING_TIMEOUT, nowMs);
    else i++;
}
