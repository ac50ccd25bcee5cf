/**
 * Port: where packets come from and go to. Each packet stands behind a virtio-net header (assembly/core/wire/vnet.ts).
 * Addresses are offsets into the engine's memory. Implementations: tun-device.ts, memory-device.ts (tests).
 */
export interface PacketDevice {
  /** Bytes read to `address`, at most `length`; 0 when nothing waits. */
  read(address: number, length: number): number;
  /** False when the device would not take the packet. */
  write(address: number, length: number): boolean;
}
