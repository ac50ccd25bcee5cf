import type { Pump } from "./pump.ts";
import { addressOf, POLLIN, poll, read } from "./syscalls.ts";

/** How often idle sessions and waiting packets are looked at. */
const TICK_MS = 100;
/**
 * After a packet that came alone, so many more are taken one at a time: asking whether there is another is a system call
 * in vain then, and poll() tells it anyway.
 */
const SINGLES = 3;

export interface TurnParts {
  readonly pump: Pump;
  readonly tun: number;
  /** Eventfd: readable when a message waits. */
  readonly wake: number;
  /** See WorkerStart. */
  readonly signal: Int32Array;
  /** Ten times a second. */
  tick(nowMs: number): void;
  drainMessages(): void;
  /** What the turn has for the main thread. */
  sendAll(): void;
}

/** Milliseconds modulo 2³²: the engine counts differences only. */
export const now = () => performance.now() | 0;

/** One turn of a worker's loop: a batch of packets, messages, the tick; then it sleeps if there is nothing left to do. */
export function createTurn({ pump, tun, wake, signal, tick, drainMessages, sendAll }: TurnParts): () => void {
  // The turn names both arrays, not their addresses alone: that keeps their memory.
  /** Two `struct pollfd`: int fd, short events, short revents. */
  const set = Int32Array.of(tun, POLLIN, wake, POLLIN);
  const setAddress = addressOf(new Uint8Array(set.buffer));
  const counter = new Uint8Array(8);
  const counterAddress = addressOf(counter);
  let singles = 0;
  let nextTick = now() + TICK_MS;

  return () => {
    signal[1]!++;
    const time = now();
    const count = singles > 0 ? pump.turn(time, 1) : pump.turn(time);
    if (singles > 0) singles--;
    else if (count === 1) singles = SINGLES;
    if (Atomics.load(signal, 0) !== 0) drainMessages();
    if (((time - nextTick) | 0) >= 0) {
      tick(time);
      nextTick = (time + TICK_MS) | 0;
    }
    sendAll();
    // Several packets: more may have come meanwhile.
    if (count > 1) return;
    if (poll(setAddress, 2, TICK_MS) > 0 && set[3]! >>> 16 !== 0) read(wake, counterAddress, counter.length);
  };
}
