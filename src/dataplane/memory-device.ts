import type { PacketDevice } from "./device.ts";

export interface MemoryDevice extends PacketDevice {
  /** Packets to read, oldest first. */
  readonly incoming: Uint8Array[];
  /** Copies of what was written. */
  readonly outgoing: Uint8Array[];
}

/** A device without a kernel, for tests and for tools that work on captured packets. */
export function memoryDevice(memory: Uint8Array): MemoryDevice {
  const incoming: Uint8Array[] = [];
  const outgoing: Uint8Array[] = [];
  return {
    incoming,
    outgoing,
    read(address, length) {
      const next = incoming.shift()?.subarray(0, length);
      if (next === undefined) return 0;
      memory.set(next, address);
      return next.length;
    },
    write(address, length) {
      outgoing.push(memory.slice(address, address + length));
      return true;
    },
  };
}
