/**
 * How many sessions a Pod (an inner address) has, for its limit (RFC 6888 REQ-4). Looked at when a session begins and
 * ends, never for a packet.
 */
import { powerOfTwo, reserve } from "./arena";
import { mix } from "./hash";
import { limits } from "./limits";
import { DropReason } from "./verdict";

@unmanaged
@final
export class Pod {
  lo: u64;
  hi: u64;
  sessions: u32;
  /** Next in the bucket, or in the free list. */
  next: usize;
}
if (offsetof<Pod>() != 24) ERROR("Pod must be 24 bytes");
const SIZE: usize = 24;

let table: usize = 0;
let buckets: usize = 0;
let mask: u32 = 0;
let max: u32 = 0;
let used: u32 = 0;
let free: usize = 0;
/** What mayOpen() found; 0 = the Pod has no record yet. */
let found: usize = 0;

export function initPods(count: u32): bool {
  max = count;
  mask = powerOfTwo(count) - 1;
  table = reserve(<u64>count * SIZE);
  buckets = reserve((<u64>mask + 1) << 2);
  return table != 0 && buckets != 0;
}

// @ts-ignore: decorator
@inline
function bucketOf(lo: u64, hi: u64): usize {
  return buckets + ((<usize>mix(lo ^ mix(hi)) & mask) << 2);
}

/**
 * May the Pod have one more session? With --pod-sessions outsiders don't get the last quarter of them. A limit that can't
 * be kept for want of a record refuses: it never lapses.
 */
export function mayOpen(lo: u64, hi: u64, byOutsider: bool): DropReason {
  found = load<u32>(bucketOf(lo, hi));
  while (found != 0) {
    const pod = changetype<Pod>(found);
    if (pod.hi == hi && pod.lo == lo) break;
    found = pod.next;
  }
  if (limits.podSessions == 0) return DropReason.NONE;
  if (found == 0) return free == 0 && used == max ? DropReason.POD_TABLE_FULL : DropReason.NONE;
  const most = byOutsider ? <u32>((<u64>limits.podSessions * 3) >> 2) : limits.podSessions;
  return changetype<Pod>(found).sessions < most ? DropReason.NONE : DropReason.POD_SESSIONS_EXCEEDED;
}

/** One session more for the Pod that mayOpen() was asked about → its record, 0 = there's no room for one. */
export function countPod(lo: u64, hi: u64): u32 {
  let p = found;
  if (p == 0) {
    if (free != 0) {
      p = free;
      free = changetype<Pod>(p).next;
    } else if (used < max) p = table + <usize>(used++) * SIZE;
    else return 0;
    const bucket = bucketOf(lo, hi);
    const fresh = changetype<Pod>(p);
    fresh.lo = lo;
    fresh.hi = hi;
    fresh.sessions = 0;
    fresh.next = load<u32>(bucket);
    store<u32>(bucket, <u32>p);
  }
  changetype<Pod>(p).sessions++;
  return <u32>p;
}

/** One session less; the last one gives the record back. 0 = it wasn't counted. */
export function releasePod(p: u32): void {
  if (p == 0) return;
  const pod = changetype<Pod>(<usize>p);
  pod.sessions--;
  if (pod.sessions > 0) return;
  let link = bucketOf(pod.lo, pod.hi);
  while (load<u32>(link) != p) link = <usize>load<u32>(link) + offsetof<Pod>("next");
  store<u32>(link, <u32>pod.next);
  pod.next = free;
  free = p;
}
