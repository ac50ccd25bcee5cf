/** ICMP errors: built with whole checksums, and taken apart down to the packet that they quote. */
import assert from "node:assert/strict";
import { bytesToIpv6 } from "../../src/addresses.ts";
import { type Decoded, decode } from "./decode.ts";
import {
  addressBytes,
  be16,
  be32,
  concat,
  familyOf,
  get16,
  onesSum,
  protocolNumber,
  pseudoHeader,
  put16,
} from "./packets.ts";
import { VNET_BYTES } from "./vnet.ts";

export interface ErrorSpec {
  readonly source: string;
  readonly destination: string;
  readonly type: number;
  readonly code: number;
  /** The 32 bits behind the checksum. */
  readonly word?: number;
  /** The quote, and what follows it. */
  readonly body: Uint8Array;
  readonly hops?: number;
  readonly tos?: number;
}

/** The whole packet, virtio-net header first. Its family is that of `source`. */
export function buildError(spec: ErrorSpec): Uint8Array {
  const { source, destination, hops = 61, tos = 0 } = spec;
  const message = concat(Uint8Array.of(spec.type, spec.code, 0, 0), be32(spec.word ?? 0), spec.body);
  const family = familyOf(spec);
  const protocol = family === 4 ? protocolNumber.icmp4 : protocolNumber.icmp6;
  put16(message, 2, onesSum(pseudoHeader(source, destination, message.length, protocol), message) ^ 0xffff);
  const addresses = [addressBytes(source), addressBytes(destination)];
  if (family === 6)
    return concat(
      ...[new Uint8Array(VNET_BYTES), be32((0x60000000 | (tos << 20)) >>> 0), be16(message.length)],
      ...[Uint8Array.of(protocol, hops), ...addresses, message],
    );
  const header = concat(
    ...[Uint8Array.of(0x45, tos), be16(20 + message.length), be32(0)],
    ...[Uint8Array.of(hops, protocol, 0, 0), ...addresses],
  );
  put16(header, 10, onesSum(header) ^ 0xffff);
  return concat(new Uint8Array(VNET_BYTES), header, message);
}

/** RFC 4884: the quote padded with zeros to 128 bytes and whole units, then the extension; `word` has the length. */
export function extended(quote: Uint8Array, extension: Uint8Array, family: 4 | 6) {
  const unit = family === 4 ? 4 : 8;
  const length = Math.max(128, Math.ceil(quote.length / unit) * unit);
  const word = ((length / unit) << (family === 4 ? 16 : 24)) >>> 0;
  return { word, body: concat(quote, new Uint8Array(length - quote.length), extension) };
}

export interface DecodedError extends Decoded {
  readonly type: number;
  readonly code: number;
  readonly word: number;
  /** The quote, and what follows it. */
  readonly body: Uint8Array;
}

/** An ICMP error whose own checksums hold. */
export function decodeError(packet: Uint8Array): DecodedError {
  const decoded = decode(packet);
  assert.ok(decoded.icmp, "an ICMP message");
  const { type, code, body } = decoded.icmp;
  assert.ok(isError(packet), `an error, not type ${type}`);
  return {
    ...decoded,
    type,
    code,
    word: get16(body, 0) * 65536 + get16(body, 2),
    body: body.slice(4),
  };
}

/** Whether an IP packet (no extension headers, as errors are) is an ICMP error. */
export function isError(packet: Uint8Array): boolean {
  const ip = packet.subarray(VNET_BYTES);
  if (ip[0]! >> 4 === 6) return ip[6] === protocolNumber.icmp6 && ip[40]! >= 1 && ip[40]! <= 4;
  return ip[9] === protocolNumber.icmp4 && [3, 11, 12].includes(ip[(ip[0]! & 15) * 4]!);
}

/** A copy whose ICMP checksum holds, as far as there is an ICMP error in it. */
export function sealed(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  const ip = copy.subarray(VNET_BYTES);
  if (ip.length < 20 || !isError(copy)) return copy;
  const four = ip[0]! >> 4 === 4;
  const message = four ? ip.subarray((ip[0]! & 15) * 4, get16(ip, 2)) : ip.subarray(40, 40 + get16(ip, 4));
  if (message.length < 4) return copy;
  put16(message, 2, 0);
  const protocol = four ? protocolNumber.icmp4 : protocolNumber.icmp6;
  put16(message, 2, onesSum(pseudoHeader(...addressesOf(ip), message.length, protocol), message) ^ 0xffff);
  return copy;
}

/** Source and destination of a packet without virtio-net header. */
export function addressesOf(ip: Uint8Array): readonly [source: string, destination: string] {
  return ip[0]! >> 4 === 4
    ? [ip.subarray(12, 16).join("."), ip.subarray(16, 20).join(".")]
    : [bytesToIpv6(ip.subarray(8, 24)), bytesToIpv6(ip.subarray(24, 40))];
}
