/** This worker's copy of the mappings: what the log in shared data says, kept current by sync(). */
import { powerOfTwo } from "../core/arena";
import { clearMappings, initMappings, installMapping, removeMapping } from "../core/mapping";
import { CHUNK, HEAD_SIZE, Head, MAGIC, RECORD_SIZE } from "./format";
import { resultAt, resultSize, takeBack } from "./lent";
import { readChunk, readHead, readSettings } from "./shared";
import { applySettings } from "./settings";

const FIRST_CAPACITY: u32 = 4096;
/** 50 MB a worker; further ones are asked for at each connection. */
const MOST: u32 = 1 << 20;
const PLACE: u32 = 24;

let capacity: u32 = 0;
/** Of the log that the table holds; 0 = none. */
let generation: u32 = 0;
let applied: u32 = 0;
let settingsVersion: u32 = 0;
let settingsSeen: bool = false;
/** False: the table lacks what the log has. What looks like any IPv4 address might be a NAT address. */
export let whole: bool = false;

/** Brings settings and mappings in line with shared data. True: something changed. Takes back what was lent. */
export function sync(): bool {
  takeBack();
  if (!readHead() || resultSize() != HEAD_SIZE) return false;
  const head = changetype<Head>(resultAt());
  if (head.magic != MAGIC) return false;
  const current = head.generation;
  const size = head.logSize;
  const mappings = head.mappings;
  const version = head.settingsVersion;
  const settingsNew = !settingsSeen || version != settingsVersion;
  if (current == generation && size == applied && !settingsNew) return false;
  if (settingsNew) {
    takeBack();
    if (readSettings() && applySettings(resultAt(), resultSize())) {
      settingsSeen = true;
      settingsVersion = version;
    }
  }
  if (current != generation) {
    makeRoom(mappings);
    clearMappings();
    whole = false;
    generation = current;
    applied = 0;
  }
  while (applied < size) if (!applyChunk(size)) return true;
  whole = true;
  return true;
}

/** False: it is not there as it should be; the next sync begins anew. */
function applyChunk(size: u32): bool {
  const chunk = applied / CHUNK;
  const start = chunk * CHUNK;
  takeBack();
  if (!readChunk(generation, chunk)) return beginAnew();
  const end = min(resultSize(), size - start);
  let at = applied - start;
  if (end <= at) return beginAnew();
  const p = resultAt();
  for (; at + RECORD_SIZE <= end; at += RECORD_SIZE)
    if (!applyRecord(p + at)) {
      makeRoom(capacity);
      return beginAnew();
    }
  applied = start + at;
  return true;
}

/** False: the table is too small. */
function applyRecord(p: usize): bool {
  const nat4BE = load<u32>(p);
  const lo = load<u64>(p, 4);
  const hi = load<u64>(p, 12);
  // 0.0.0.0 is nobody's: the table has no place for it, however large.
  if (nat4BE == 0) return true;
  if ((lo | hi) == 0) {
    removeMapping(nat4BE);
    return true;
  }
  return installMapping(nat4BE, lo, hi) || capacity == MOST;
}

function beginAnew(): bool {
  generation = 0;
  return false;
}

/** For so many and a good deal more. */
export function makeRoom(mappings: u32): void {
  if (capacity > 0 && mappings < capacity) return;
  const wanted = min(powerOfTwo(max(min(mappings, MOST) + 1, FIRST_CAPACITY)), MOST);
  if (wanted <= capacity) return;
  if (memory.grow(<i32>((wanted * 2 * PLACE) >> 16) + 1) < 0) return;
  if (initMappings(wanted)) capacity = wanted;
}
