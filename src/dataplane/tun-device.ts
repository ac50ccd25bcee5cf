import type { PacketDevice } from "./device.ts";
import { addressOf, read, write } from "./syscalls.ts";

/** Packets straight between a non-blocking TUN descriptor and the engine's memory, without a copy in between. */
export function tunDevice(fd: number, memory: Uint8Array): PacketDevice {
  const base = addressOf(memory);
  return {
    read(address, length) {
      const got = read(fd, base + address, length);
      return got > 0 ? got : 0;
    },
    write(address, length) {
      return write(fd, base + address, length) === length;
    },
  };
}
