/**
 * NAT IPv4 address → IPv6 host. Open addressing with linear probing; a deletion shifts its followers back, so that a
 * look-up ends at the first empty place.
 */
import { powerOfTwo, reserve } from "./arena";
import { counters } from "./counters";
import { mix } from "./hash";
import { noteMappingChange } from "./mapping-changes";

@unmanaged
@final
export class Mapping {
  hostLo: u64;
  hostHi: u64;
  /** Wire order; 0 = empty place. */
  nat4BE: u32;
  reserved: u32;
}
if (offsetof<Mapping>() != 24) ERROR("Mapping must be 24 bytes");
const SIZE: usize = 24;

let table: usize = 0;
let mask: u32 = 0;
let capacity: u32 = 0;

/** Room for `max` mappings at a load of at most one half. */
export function initMappings(max: u32): bool {
  const places = powerOfTwo(max) << 1;
  table = reserve(<u64>places * SIZE);
  mask = places - 1;
  capacity = max;
  return table != 0;
}

/** Forgets all of them. */
export function clearMappings(): void {
  memory.fill(table, 0, (<usize>mask + 1) * SIZE);
  counters.mappings = 0;
}

// @ts-ignore: decorator
@inline
function place(index: u32): Mapping {
  return changetype<Mapping>(table + <usize>index * SIZE);
}

// @ts-ignore: decorator
@inline
function home(nat4BE: u32): u32 {
  return <u32>mix(nat4BE) & mask;
}

function find(nat4BE: u32): u32 {
  let index = home(nat4BE);
  while (place(index).nat4BE != 0 && place(index).nat4BE != nat4BE) index = (index + 1) & mask;
  return index;
}

/** The mapping of an address in wire order, or null. */
export function lookupMapping(nat4BE: u32): Mapping | null {
  if (nat4BE == 0) return null;
  const found = place(find(nat4BE));
  return found.nat4BE == 0 ? null : found;
}

/** Adds or replaces; false when the table is full. */
export function installMapping(nat4BE: u32, hostLo: u64, hostHi: u64): bool {
  if (nat4BE == 0) return false;
  const entry = place(find(nat4BE));
  if (entry.nat4BE == 0) {
    if (counters.mappings == capacity) return false;
    counters.mappings++;
    entry.nat4BE = nat4BE;
  } else if (entry.hostLo != hostLo || entry.hostHi != hostHi) noteMappingChange(nat4BE);
  entry.hostLo = hostLo;
  entry.hostHi = hostHi;
  return true;
}

export function removeMapping(nat4BE: u32): bool {
  if (nat4BE == 0) return false;
  let hole = find(nat4BE);
  if (place(hole).nat4BE == 0) return false;
  counters.mappings--;
  noteMappingChange(nat4BE);
  let next = hole;
  while (true) {
    next = (next + 1) & mask;
    const candidate = place(next);
    if (candidate.nat4BE == 0) break;
    // It may move into the hole unless its home lies cyclically between the hole and itself.
    if (((next - home(candidate.nat4BE)) & mask) >= ((next - hole) & mask)) {
      memory.copy(changetype<usize>(place(hole)), changetype<usize>(candidate), SIZE);
      hole = next;
    }
  }
  place(hole).nat4BE = 0;
  return true;
}
