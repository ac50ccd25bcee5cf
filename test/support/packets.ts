/**
 * IP packets behind the 12-byte virtio-net header, built and taken apart the slow and obvious way: every length and
 * every checksum is computed over the whole packet. What the engine does by difference is compared with this.
 */
import { isIpv4 } from "../../src/addresses.ts";
import { mappedBytes } from "../../src/engine/address-form.ts";
import { VNET_BYTES, type Vnet, vnetBytes } from "./vnet.ts";

export type Protocol = "tcp" | "udp" | "icmp";
/** How the transport checksum stands in the packet; `none` is UDP's zero. */
export type ChecksumForm = "complete" | "partial" | "none";

/** One packet. Its family is that of `source`. */
export interface PacketSpec {
  readonly source: string;
  readonly destination: string;
  readonly protocol: Protocol;
  /** ICMP: the identifier is the source port; the destination port isn't used. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
  readonly checksum: ChecksumForm;
  /** Segment size: the packet is a super-packet (its checksum then is partial). */
  readonly gsoSize?: number;
  /** TTL, hop limit. */
  readonly hops: number;
  /** TOS, traffic class. */
  readonly tos: number;
  readonly flowLabel: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  /** IPv4 options or IPv6 extension headers (see extensionHeader), whole. */
  readonly options: Uint8Array;
  /** IPv6: what the fixed header's next header says when `options` holds extension headers. */
  readonly firstExtension: number;
  readonly tcpFlags: number;
  /** Whole words. */
  readonly tcpOptions: Uint8Array;
  readonly echoReply: boolean;
}

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

const empty = new Uint8Array(0);
const defaults = {
  payload: Uint8Array.from({ length: 21 }, (_, index) => index * 7 + 1),
  checksum: "complete",
  hops: 61,
  tos: 0,
  flowLabel: 0,
  identification: 0,
  dontFragment: true,
  options: empty,
  firstExtension: 0,
  tcpFlags: ACK,
  tcpOptions: empty,
  echoReply: false,
} as const satisfies Partial<PacketSpec>;

export type PacketInput = Partial<PacketSpec> &
  Pick<PacketSpec, "source" | "destination" | "protocol" | "sourcePort" | "destinationPort">;

export function packetSpec(input: PacketInput): PacketSpec {
  return { ...defaults, ...input };
}

export const familyOf = (spec: { readonly source: string }): 4 | 6 => (isIpv4(spec.source) ? 4 : 6);
export const protocolNumber = { tcp: 6, udp: 17, icmp4: 1, icmp6: 58 } as const;
/** Where the checksum field lies in the transport header. */
export const checksumField = { tcp: 16, udp: 6, icmp: 2 } as const;

export const numberOf = (protocol: Protocol, family: 4 | 6): number =>
  protocol === "icmp" ? (family === 4 ? 1 : 58) : protocolNumber[protocol];

/** Of the family's IP header, or of its 4 or 16 bytes in a pseudo-header. */
export function addressBytes(address: string): Uint8Array {
  return isIpv4(address) ? mappedBytes(address).subarray(12) : mappedBytes(address);
}

/** Folded one's-complement sum of 16-bit words in network order. */
export function onesSum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts)
    for (let i = 0; i < part.length; i += 2) sum += part[i]! * 256 + (part[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

/** RFC 9293 §3.1, RFC 8200 §8.1. Empty for ICMPv4, which has none. */
export function pseudoHeader(
  source: string,
  destination: string,
  length: number,
  protocol: number,
): Uint8Array {
  if (protocol === protocolNumber.icmp4) return empty;
  return concat(addressBytes(source), addressBytes(destination), be32(length), be32(protocol));
}

/** `kind` of the next header, then `units` × 8 bytes in all. */
export function extensionHeader(next: number, units: number, segmentsLeft = 0): Uint8Array {
  const header = new Uint8Array(units * 8);
  header.set([next, units - 1, 1, segmentsLeft]);
  return header;
}

/** The value is in network order right behind kind and length. */
export const mssOption = (mss: number): Uint8Array => Uint8Array.of(2, 4, mss >> 8, mss & 255);

/** The whole packet, virtio-net header first. */
export function buildPacket(input: PacketInput): Uint8Array {
  const spec = packetSpec(input);
  const transport = transportBytes(spec);
  const ip = familyOf(spec) === 4 ? ipv4Bytes(spec, transport.length) : ipv6Bytes(spec, transport.length);
  return concat(vnetBytes(vnetOf(spec, ip.length)), ip, transport);
}

/** What a correct sender puts into the virtio-net header. */
export function vnetOf(spec: PacketSpec, ipHeader: number): Vnet {
  const partial = spec.checksum === "partial";
  const gso = spec.gsoSize !== undefined;
  const kind = spec.protocol === "udp" ? 5 : familyOf(spec) === 4 ? 1 : 4;
  return {
    flags: partial ? 1 : 0,
    gsoType: gso ? kind : 0,
    headerLength: gso ? ipHeader + transportHeaderLength(spec) : 0,
    gsoSize: spec.gsoSize ?? 0,
    checksumStart: partial ? ipHeader : 0,
    checksumOffset: partial ? checksumField[spec.protocol] : 0,
  };
}

function transportHeaderLength(spec: PacketSpec): number {
  return spec.protocol === "tcp" ? 20 + spec.tcpOptions.length : 8;
}

function transportBytes(spec: PacketSpec): Uint8Array {
  const family = familyOf(spec);
  const bytes = concat(transportHeader(spec, family), spec.payload);
  const pseudo = pseudoHeader(spec.source, spec.destination, bytes.length, numberOf(spec.protocol, family));
  const field = checksumField[spec.protocol];
  if (spec.checksum === "partial") put16(bytes, field, onesSum(pseudo));
  else if (spec.checksum === "complete") {
    const checksum = onesSum(pseudo, bytes) ^ 0xffff;
    put16(bytes, field, checksum === 0 && spec.protocol === "udp" ? 0xffff : checksum);
  }
  return bytes;
}

function transportHeader(spec: PacketSpec, family: 4 | 6): Uint8Array {
  const { sourcePort, destinationPort, payload } = spec;
  if (spec.protocol === "udp")
    return concat(be16(sourcePort), be16(destinationPort), be16(8 + payload.length), be16(0));
  if (spec.protocol === "icmp") {
    const type = family === 4 ? (spec.echoReply ? 0 : 8) : spec.echoReply ? 129 : 128;
    return concat(Uint8Array.of(type, 0), be16(0), be16(sourcePort), be16(7));
  }
  const offset = (transportHeaderLength(spec) / 4) << 4;
  return concat(
    ...[be16(sourcePort), be16(destinationPort), be32(0x01020304), be32(0x05060708)],
    ...[Uint8Array.of(offset, spec.tcpFlags), be16(0x1234), be16(0), be16(0), spec.tcpOptions],
  );
}

function ipv4Bytes(spec: PacketSpec, length: number): Uint8Array {
  const headerLength = 20 + spec.options.length;
  const header = concat(
    ...[Uint8Array.of(0x40 | (headerLength / 4), spec.tos), be16(headerLength + length)],
    ...[be16(spec.identification), be16(spec.dontFragment ? 0x4000 : 0)],
    ...[Uint8Array.of(spec.hops, numberOf(spec.protocol, 4)), be16(0)],
    ...[addressBytes(spec.source), addressBytes(spec.destination), spec.options],
  );
  put16(header, 10, onesSum(header) ^ 0xffff);
  return header;
}

function ipv6Bytes(spec: PacketSpec, length: number): Uint8Array {
  const next = spec.options.length > 0 ? spec.firstExtension : numberOf(spec.protocol, 6);
  return concat(
    ...[be32((0x60000000 | (spec.tos << 20) | spec.flowLabel) >>> 0), be16(spec.options.length + length)],
    ...[
      Uint8Array.of(next, spec.hops),
      addressBytes(spec.source),
      addressBytes(spec.destination),
      spec.options,
    ],
  );
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const be16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255);
export const be32 = (value: number): Uint8Array => concat(be16(value >>> 16), be16(value & 0xffff));
export const get16 = (bytes: Uint8Array, at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 255;
}

/** A copy with some bytes changed; offsets count from the IP header. */
export function withBytes(packet: Uint8Array, changes: Readonly<Record<number, number>>): Uint8Array {
  const copy = packet.slice();
  for (const [at, value] of Object.entries(changes)) copy[VNET_BYTES + Number(at)] = value;
  return copy;
}
