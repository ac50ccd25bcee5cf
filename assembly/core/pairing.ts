/**
 * Which SNAT address a Pod gets (paired pooling, RFC 4787 REQ-2), as every data plane of ours decides it: from the Pod's
 * address and the list alone, in whatever order it is written, so that a restart and other gateways choose alike.
 *
 * Pods lie on a circle of SHARES by a lattice: neighbours, and nodes' blocks of neighbours, come to lie evenly on it, more
 * so than a hash would lay them. Each address owns as many shares as any other, or one more. Parts of the circle, one
 * after the other, go to the address with the highest weight for them (rendezvous hashing) that still lacks shares: when
 * addresses come or go, nearly all Pods of the others stay.
 */
import { scramble } from "./hash";

export const SHARES: u32 = 16384;
/** Few, since the lattice is even within a part but not within crumbs; many, so that changes of the pool move little. */
const PARTS: u32 = 512;
export const NO_ADDRESS: u16 = 0xffff;

/** Found by search: multiples of them, by what networks' and nodes' blocks have for strides, are even at any length. */
const STEP: u64 = 0x736a540fc12c529f;
const STEP_HIGH: u64 = 0x635f0c146af6648d;

/** Of the Pod's address as address.ts forms it. */
// @ts-ignore: decorator
@inline
export function shareOf(podLo: u64, podHi: u64): u32 {
  return <u32>((bswap<u64>(podHi) * STEP + bswap<u64>(podLo) * STEP_HIGH) >> 50);
}
if (SHARES != 1 << (64 - 50)) ERROR("shareOf() gives 14 bits");

@unmanaged
@final
class Candidate {
  /** Stands for the address; candidates lie in its order. */
  key: u64;
  index: u32;
  /** Shares that it still lacks. */
  room: u32;
}
const CANDIDATE: usize = 16;
if (offsetof<Candidate>() != 16) ERROR("Candidate must be 16 bytes");

const MAX_CANDIDATES: u32 = 1024;
const CANDIDATES = memory.data(1024 * 16, 16);
let count: u32 = 0;

// @ts-ignore: decorator
@inline
function candidate(i: u32): Candidate {
  return changetype<Candidate>(CANDIDATES + <usize>i * CANDIDATE);
}

export function beginSharing(): void {
  count = 0;
}

/** `index` is what stands in the table of shares for the address. One that is there already counts once. */
export function addCandidate(lo: u64, hi: u64, index: u32): void {
  const key = scramble(lo ^ scramble(hi));
  let place = count;
  while (place > 0 && candidate(place - 1).key > key) place--;
  if (count == MAX_CANDIDATES || (place > 0 && candidate(place - 1).key == key)) return;
  const at = CANDIDATES + <usize>place * CANDIDATE;
  memory.copy(at + CANDIDATE, at, <usize>(count - place) * CANDIDATE);
  candidate(place).key = key;
  candidate(place).index = index;
  count++;
}

/** Gives each share (u16) of the table to one of the candidates; without any, NO_ADDRESS. */
export function shareOut(shares: usize): void {
  if (count == 0) {
    memory.fill(shares, 0xff, SHARES << 1);
    return;
  }
  for (let i: u32 = 0; i < count; i++) candidate(i).room = SHARES / count + u32(i < SHARES % count);
  for (let part: u32 = 0; part < PARTS; part++) {
    const seed = scramble(part + 1);
    let share = part * (SHARES / PARTS);
    const end = share + SHARES / PARTS;
    while (share < end) {
      const owner = changetype<Candidate>(heaviest(seed));
      const until = min(end, share + owner.room);
      owner.room -= until - share;
      for (; share < until; share++) store<u16>(shares + (share << 1), <u16>owner.index);
    }
  }
}

/** Of those that lack shares: there is always one, since together they lack what is still to be given. */
function heaviest(seed: u64): usize {
  let best: usize = 0;
  let bestWeight: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const each = candidate(i);
    if (each.room == 0) continue;
    const weight = scramble(each.key ^ seed);
    if (best == 0 || weight > bestWeight) {
      best = changetype<usize>(each);
      bestWeight = weight;
    }
  }
  return best;
}
