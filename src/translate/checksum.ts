/** Bytes of the virtio-net header before each packet of the engine. */
export const vnetBytes = 12;
const needsChecksum = 1;

/** The IP packet behind the virtio-net header; the engine leaves some checksums to the device, here they are made. */
export function completeChecksum(framed: Uint8Array): Uint8Array {
  const ip = framed.subarray(vnetBytes);
  if (framed[0] !== needsChecksum) return ip;
  const view = new DataView(framed.buffer, framed.byteOffset);
  const start = view.getUint16(6, true);
  let sum = 0;
  for (let at = start; at < ip.length; at += 2) sum += ip[at]! * 256 + (ip[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  // RFC 768: a sum of zero is sent as all ones.
  view.setUint16(vnetBytes + start + view.getUint16(8, true), sum === 0xffff ? 0xffff : ~sum & 0xffff);
  return ip;
}
