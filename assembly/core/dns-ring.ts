/**
 * Memory of the DNS cache: answers of any length one behind the other in a ring, found by a hash table. A hand goes
 * round (CLOCK): an answer that was used since the hand came by moves along before it, others make room. So there are no
 * holes and no lists of free blocks, and what is asked for often stays.
 */
import { powerOfTwo, reserve } from "./arena";
import { dnsCounters } from "./dns-counters";

/** Behind it: the folded name, the offsets of the TTLs (u16), the reply; each padded to eight bytes. */
@unmanaged
@final
export class CachedAnswer {
  storedMs: u64;
  /** Address of the next one in the bucket; 0 = the last. */
  next: usize;
  hash: u32;
  /** See dns-query.ts; 0 = no answer any more. */
  key: u32;
  lifetimeMs: u32;
  /** Sum of mappingChanges() of the addresses in it, when it was made. */
  changes: u32;
  /** Bytes of the whole. */
  size: u32;
  replyLength: u16;
  ttlCount: u16;
  used: bool;
  synthesized: bool;
  /** It is being asked anew. */
  refreshing: bool;
  reserved: u8;
}
if (offsetof<CachedAnswer>() != 40) ERROR("CachedAnswer must be 40 bytes");
export const ANSWER_FIXED: u32 = 40;

/** An answer may move along; so many for one that is stored, lest storing take long. */
const MOVES: u32 = 8;

let base: usize = 0;
let end: usize = 0;
/** Where the next answer goes. */
let hand: usize = 0;
/** Up to here from the hand on memory is free; then answers follow up to `limit`. */
let clear: usize = 0;
let limit: usize = 0;
let buckets: usize = 0;
let mask: u32 = 0;

/** False when memory is too small. Fewer than 4,096 bytes: no cache. */
export function initRing(bytes: u32): bool {
  if (bytes < 4096) return true;
  mask = powerOfTwo(bytes >> 8) - 1;
  buckets = reserve(<u64>(mask + 1) << 2);
  base = reserve(bytes);
  end = base + (bytes & ~7);
  if (buckets == 0 || base == 0) return false;
  clearRing();
  return true;
}

// @ts-ignore: decorator
@inline
export function isRingThere(): bool {
  return base != 0;
}

export function clearRing(): void {
  if (base == 0) return;
  memory.fill(buckets, 0, <usize>(mask + 1) << 2);
  hand = base;
  clear = end;
  limit = base;
  dnsCounters.entries = 0;
}

// @ts-ignore: decorator
@inline
function bucket(hash: u32): usize {
  return buckets + (<usize>(hash & mask) << 2);
}

/** The first of the bucket; 0 = none. */
// @ts-ignore: decorator
@inline
export function firstAnswer(hash: u32): usize {
  return load<u32>(bucket(hash));
}

/** Room for an answer of `size` bytes, a multiple of 8; 0 = too long. Then link() it. */
export function takeRoom(size: u32, nowMs: u64): usize {
  if (size > <u32>(end - base) >> 3) return 0;
  let moves = MOVES;
  while (clear - hand < size) {
    if (clear < limit) {
      const answer = changetype<CachedAnswer>(clear);
      clear += answer.size;
      if (answer.key == 0) continue;
      const fresh = <i64>(nowMs - answer.storedMs) < <i64>answer.lifetimeMs;
      if (answer.used && fresh && moves > 0) {
        moves--;
        move(answer);
      } else {
        remove(answer);
        if (fresh) dnsCounters.evictions++;
      }
    } else if (clear < end) clear = end;
    else {
      limit = hand;
      hand = base;
      clear = base;
    }
  }
  const room = hand;
  hand += size;
  return room;
}

export function link(answer: CachedAnswer): void {
  const head = bucket(answer.hash);
  answer.next = load<u32>(head);
  store<u32>(head, <u32>changetype<usize>(answer));
  dnsCounters.entries++;
}

export function remove(answer: CachedAnswer): void {
  store<u32>(pointerTo(answer), <u32>answer.next);
  answer.key = 0;
  dnsCounters.entries--;
}

function move(answer: CachedAnswer): void {
  store<u32>(pointerTo(answer), <u32>hand);
  answer.used = false;
  const size = answer.size;
  memory.copy(hand, changetype<usize>(answer), size);
  hand += size;
}

/** Where the address of a linked answer stands. */
function pointerTo(answer: CachedAnswer): usize {
  let p = bucket(answer.hash);
  while (<usize>load<u32>(p) != changetype<usize>(answer)) p = <usize>load<u32>(p) + offsetof<CachedAnswer>("next");
  return p;
}
