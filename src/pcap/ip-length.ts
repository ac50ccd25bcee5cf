const ipv6HeaderLength = 40;

/**
 * The packet without what follows it in the frame: Ethernet pads to 60 bytes and may leave its checksum. Unchanged
 * when its length field claims more than there is (a snapped capture), is too small to be true, or is zero where
 * that means that the length stands elsewhere: super-packets of segmentation offload, IPv6 jumbograms (RFC 2675).
 */
export function withoutPadding(ip: Uint8Array): Uint8Array {
  const length = statedLength(ip);
  return length !== undefined && length < ip.length ? ip.subarray(0, length) : ip;
}

function statedLength(ip: Uint8Array): number | undefined {
  const view = new DataView(ip.buffer, ip.byteOffset, ip.byteLength);
  if (ip[0]! >>> 4 === 4) {
    const headerLength = (ip[0]! & 0xf) * 4;
    const total = ip.length >= 20 ? view.getUint16(2) : 0;
    return headerLength >= 20 && total >= headerLength ? total : undefined;
  }
  if (ip.length < ipv6HeaderLength) return undefined;
  const payload = view.getUint16(4);
  // No payload is real with No Next Header (59) alone; else the length is in an option or lost to offload.
  return payload > 0 || ip[6] === 59 ? ipv6HeaderLength + payload : undefined;
}
