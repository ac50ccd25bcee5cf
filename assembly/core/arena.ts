/**
 * Tables are laid out once, at start, behind the static data: no growth, no allocation afterwards. Pages that a table
 * never touches cost no memory.
 */
let top: usize = 0;

/** `bytes` of zeroed memory aligned to a cache line, or 0 when the module's memory is too small for it. */
export function reserve(bytes: u64): usize {
  if (top == 0) top = __heap_base;
  const p = (top + 63) & ~63;
  if (<u64>p + bytes > <u64>memory.size() << 16) return 0;
  top = p + <usize>bytes;
  return p;
}

/** The power of two that is not below `n`. */
export function powerOfTwo(n: u32): u32 {
  return n <= 1 ? 1 : 1 << (32 - clz<u32>(n - 1));
}
