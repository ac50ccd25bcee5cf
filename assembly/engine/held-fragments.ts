/** Fragments that came before their first one: they keep their slots for a moment (RFC 6146 §3.4), bounded. */
import { countDrop } from "../core/counters";
import { FRAGMENT_LIFETIME_MS } from "../core/fragments";
import { DropReason } from "../core/verdict";
import { detach, freeSlot } from "./slots";

@unmanaged
@final
class Held {
  key: u64;
  ip: usize;
  length: u32;
  slot: u32;
  sinceMs: u32;
}
if (offsetof<Held>() != 24) ERROR("Held must be 24 bytes");

const MAX_HELD: u32 = 64;
const LIST = memory.data(64 * 24, 8);
let count: u32 = 0;

/** What releaseFragment took off the list. */
export let heldIp: usize = 0;
export let heldLength: u32 = 0;
export let heldSlot: u32 = 0;

// @ts-ignore: decorator
@inline
function held(i: u32): Held {
  return changetype<Held>(LIST + <usize>i * offsetof<Held>());
}

/**
 * Place `i` of the receive ring waits for the first fragment of packet `key`. The one that has waited longest makes
 * room: fragments whose first one never comes can't shut out others.
 */
export function holdFragment(i: u32, key: u64, ip: usize, length: u32, nowMs: u32): DropReason {
  if (count == MAX_HELD) dropOldest(DropReason.FRAGMENT_QUEUE_FULL);
  const slot = detach(i);
  if (slot < 0) return DropReason.FRAGMENT_QUEUE_FULL;
  const h = held(count++);
  h.key = key;
  h.ip = ip;
  h.length = length;
  h.slot = slot;
  h.sinceMs = nowMs;
  return DropReason.NONE;
}

/** Keeps the order of arrival. */
function removeAt(i: u32): void {
  count--;
  const p = changetype<usize>(held(i));
  memory.copy(p, p + offsetof<Held>(), <usize>(count - i) * offsetof<Held>());
}

/** Takes the oldest fragment of packet `key` off the list; false when there is none. */
export function releaseFragment(key: u64): bool {
  for (let i: u32 = 0; i < count; i++) {
    const h = held(i);
    if (h.key != key) continue;
    heldIp = h.ip;
    heldLength = h.length;
    heldSlot = h.slot;
    removeAt(i);
    return true;
  }
  return false;
}

function dropOldest(reason: DropReason): void {
  countDrop(reason);
  freeSlot(held(0).slot);
  removeAt(0);
}

/** Drops what has waited too long. */
export function expireFragments(nowMs: u32): void {
  while (count > 0 && nowMs - held(0).sinceMs > FRAGMENT_LIFETIME_MS) dropOldest(DropReason.FRAGMENT_TIMEOUT);
}
