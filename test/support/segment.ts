/**
 * What a Linux kernel does to a packet before it is on a wire without offloads: cuts a super-packet (tcp_gso_segment,
 * __udp_gso_segment), then completes the checksum. Slow and obvious: every field and sum is made anew.
 */
import { concat, get16, onesSum, protocolNumber, put16 } from "./packets.ts";
import { readVnet, VNET_BYTES, withVnet } from "./vnet.ts";

const FIN_PSH = 0x09;
const CWR = 0x80;

interface Parts {
  readonly ip: Uint8Array;
  /** Transport header and payload. */
  readonly transport: Uint8Array;
  readonly protocol: number;
}

/** Takes the packet apart; IPv6 extension headers belong to `ip`. */
function partsOf(packet: Uint8Array): Parts {
  const bytes = packet.subarray(VNET_BYTES);
  if (bytes[0]! >> 4 === 4) {
    const header = (bytes[0]! & 15) * 4;
    return { ip: bytes.slice(0, header), transport: bytes.slice(header), protocol: bytes[9]! };
  }
  let next = bytes[6]!;
  let header = 40;
  while (next === 0 || next === 43 || next === 60) {
    next = bytes[header]!;
    header += (bytes[header + 1]! + 1) * 8;
  }
  return { ip: bytes.slice(0, header), transport: bytes.slice(header), protocol: next };
}

/** Sum of the addresses, the length and the protocol (RFC 9293 §3.1, RFC 8200 §8.1), from the headers themselves. */
function pseudoSum({ ip, transport, protocol }: Parts): number {
  const addresses = ip[0]! >> 4 === 4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  return onesSum(addresses, Uint8Array.of(0, protocol, transport.length >> 8, transport.length & 255));
}

const fieldOf = (protocol: number) => (protocol === protocolNumber.tcp ? 16 : 6);

/** Lengths, header checksum and partial transport checksum for `parts`, which go out alone. */
function whole(parts: Parts, like: Uint8Array): Uint8Array {
  const { ip, transport, protocol } = parts;
  if (ip[0]! >> 4 === 4) {
    put16(ip, 2, ip.length + transport.length);
    put16(ip, 10, 0);
    put16(ip, 10, onesSum(ip) ^ 0xffff);
  } else put16(ip, 4, ip.length - 40 + transport.length);
  if (protocol === protocolNumber.udp) put16(transport, 4, transport.length);
  put16(transport, fieldOf(protocol), pseudoSum(parts));
  const packet = concat(like.subarray(0, VNET_BYTES), ip, transport);
  return withVnet(packet, { gsoType: 0, gsoSize: 0, headerLength: 0 });
}

/** The segments, each with its checksum still partial; a packet that is no super-packet is its only one. */
export function segmented(packet: Uint8Array): Uint8Array[] {
  const { gsoType, gsoSize } = readVnet(packet);
  if (gsoType === 0) return [packet];
  const { ip, transport, protocol } = partsOf(packet);
  const tcp = protocol === protocolNumber.tcp;
  const header = tcp ? (transport[12]! >> 4) * 4 : 8;
  const payload = transport.subarray(header);
  const segments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += gsoSize) {
    const own = {
      ip: ip.slice(),
      transport: concat(transport.subarray(0, header), payload.subarray(at, at + gsoSize)),
      protocol,
    };
    if (ip[0]! >> 4 === 4) put16(own.ip, 4, (get16(ip, 4) + segments.length) & 0xffff);
    if (tcp) {
      const view = new DataView(own.transport.buffer);
      view.setUint32(4, (view.getUint32(4) + at) >>> 0);
      let flags = transport[13]!;
      if (at > 0) flags &= ~CWR;
      if (at + gsoSize < payload.length) flags &= ~FIN_PSH;
      own.transport[13] = flags;
    }
    segments.push(whole(own, packet));
  }
  return segments;
}

/** With its checksum made, if that was left to the device, and nothing in the virtio-net header. */
export function completed(packet: Uint8Array): Uint8Array {
  const { flags } = readVnet(packet);
  const bare = withVnet(packet, { flags: 0, checksumStart: 0, checksumOffset: 0 });
  if ((flags & 1) === 0) return bare;
  const parts = partsOf(bare);
  const field = fieldOf(parts.protocol);
  put16(parts.transport, field, 0);
  const sum = onesSum(parts.transport);
  const pseudo = pseudoSum(parts);
  const checksum = onesSum(Uint8Array.of(sum >> 8, sum & 255, pseudo >> 8, pseudo & 255)) ^ 0xffff;
  put16(parts.transport, field, checksum === 0 && parts.protocol === protocolNumber.udp ? 0xffff : checksum);
  return concat(bare.subarray(0, VNET_BYTES), parts.ip, parts.transport);
}
