import { addressOf, checked, eventfd, write } from "./syscalls.ts";

/** Wakes a thread that sleeps in poll(). */
export interface Doorbell {
  /** An eventfd: readable from a ring on, until it is read (8 bytes). */
  readonly fd: number;
  ring(): void;
}

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

/** Its descriptor stays open for as long as the process lives. Throws an ErrnoException. */
export function createDoorbell(): Doorbell {
  const fd = checked("eventfd", eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  const oneAddress = addressOf(one);
  return {
    fd,
    ring() {
      // Named here, and not by its address alone: memory that nobody names is freed, and a ring of zero wakes nobody.
      write(fd, oneAddress, one.length);
    },
  };
}
