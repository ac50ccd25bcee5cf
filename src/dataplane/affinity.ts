import { addressOf, sched_getaffinity, sched_setaffinity } from "./syscalls.ts";

/** Bytes of a processor set: 1,024 processors, as glibc's cpu_set_t. */
const SET_BYTES = 128;

/**
 * Keeps the calling thread on one processor: the scheduler would move it to and fro between those of senders and
 * receivers, which costs a fifth of the throughput. Worker n has the nth of those that the process may use, from the
 * last: the first one has most of the rest to do. A wish: where there's no processor to choose nothing happens.
 */
export function stayOnProcessor(worker: number): void {
  const set = new Uint8Array(SET_BYTES);
  if (sched_getaffinity(0, set.length, addressOf(set)) < 0) return;
  const allowed = Array.from({ length: SET_BYTES * 8 }, (_, cpu) => cpu).filter(
    (cpu) => (set[cpu >> 3]! & (1 << (cpu & 7))) !== 0,
  );
  const chosen = allowed.at(-1 - worker);
  if (allowed.length < 2 || chosen === undefined) return;
  set.fill(0);
  set[chosen >> 3] = 1 << (chosen & 7);
  sched_setaffinity(0, set.length, addressOf(set));
}
