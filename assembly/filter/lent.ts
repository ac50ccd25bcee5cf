/**
 * Memory for what the host hands over (property values, bodies, shared data): a stack that every callback begins anew.
 * Nothing is freed and nothing can leak: what a callback wants to keep it copies. What doesn't fit the host reports as an
 * error of the call.
 */
const SIZE: usize = 64 * 1024;
const MEMORY = memory.data(64 * 1024, 16);
/** Pointer and size of what a host call returned. */
const RESULT = memory.data(16, 16);

export const resultPointer: usize = RESULT;
export const resultSizePointer: usize = RESULT + 4;
/** Where the host writes a number of up to eight bytes. */
export const numberPointer: usize = RESULT + 8;

let used: usize = 0;

export function lend(size: usize): usize {
  if (size > SIZE || SIZE - used < size) return 0;
  const p = MEMORY + used;
  used += (size + 7) & ~7;
  if (used > SIZE) used = SIZE;
  return p;
}

/** At the start of a callback, and before each piece of a long body. */
export function takeBack(): void {
  used = 0;
}

// @ts-ignore: decorator
@inline
export function resultAt(): usize {
  return load<u32>(RESULT);
}

// @ts-ignore: decorator
@inline
export function resultSize(): u32 {
  return load<u32>(RESULT, 4);
}
