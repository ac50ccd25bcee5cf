/** The virtio-net header (virtio 1.2 §5.1.6), little-endian fields. */
export interface Vnet {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export const VNET_BYTES = 12;

export function vnetBytes(vnet: Vnet): Uint8Array {
  const bytes = new Uint8Array(VNET_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, vnet.flags);
  view.setUint8(1, vnet.gsoType);
  view.setUint16(2, vnet.headerLength, true);
  view.setUint16(4, vnet.gsoSize, true);
  view.setUint16(6, vnet.checksumStart, true);
  view.setUint16(8, vnet.checksumOffset, true);
  return bytes;
}

export function readVnet(packet: Uint8Array): Vnet {
  const view = new DataView(packet.buffer, packet.byteOffset);
  return {
    flags: view.getUint8(0),
    gsoType: view.getUint8(1),
    headerLength: view.getUint16(2, true),
    gsoSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}

/** A copy with another header. */
export function withVnet(packet: Uint8Array, change: Partial<Vnet>): Uint8Array {
  const copy = packet.slice();
  copy.set(vnetBytes({ ...readVnet(packet), ...change }));
  return copy;
}
