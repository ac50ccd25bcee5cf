/**
 * How often mappings were taken away or given another host, by NAT address: an answer that was made with one is good as
 * long as that number stays. Addresses share numbers, so another one's change may end an answer early, never late.
 */
import { scramble } from "./hash";

const MASK: u32 = 4095;
const CHANGES = memory.data(4 * 4096, 64);

// @ts-ignore: decorator
@inline
function at(nat4BE: u32): usize {
  return CHANGES + (<usize>(<u32>scramble(nat4BE) & MASK) << 2);
}

export function noteMappingChange(nat4BE: u32): void {
  store<u32>(at(nat4BE), load<u32>(at(nat4BE)) + 1);
}

export function mappingChanges(nat4BE: u32): u32 {
  return load<u32>(at(nat4BE));
}
