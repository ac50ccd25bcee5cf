/** Fragments the slow and obvious way: cut a packet, put pieces together again (RFC 791 §3.2, RFC 8200 §4.5). */
import assert from "node:assert/strict";
import { bytesToIpv6 } from "../../src/addresses.ts";
import { be16, be32, concat, get16, onesSum, put16 } from "./packets.ts";
import { VNET_BYTES } from "./vnet.ts";

/** One IP packet, a fragment or not. */
export interface Piece {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly identification: number;
  /** Bytes. */
  readonly offset: number;
  readonly more: boolean;
  /** IPv4 only. */
  readonly dontFragment: boolean;
  /** IPv6 only. */
  readonly fragmentHeader: boolean;
  /** Bytes of the IP packet. */
  readonly size: number;
  /** The IP header, without fragment header. */
  readonly header: Uint8Array;
  readonly data: Uint8Array;
}

const noVnet = new Uint8Array(VNET_BYTES);
const FRAGMENT = 44;

/** Asserts that lengths and header checksum are right. IPv6: a fragment header is the only extension header. */
export function readPiece(packet: Uint8Array): Piece {
  const ip = packet.subarray(VNET_BYTES);
  return ip[0]! >> 4 === 4 ? read4(ip) : read6(ip);
}

function read4(ip: Uint8Array): Piece {
  const length = (ip[0]! & 15) * 4;
  assert.equal(get16(ip, 2), ip.length, "IPv4 total length");
  assert.equal(onesSum(ip.subarray(0, length)), 0xffff, "IPv4 header checksum");
  return {
    family: 4,
    source: ip.subarray(12, 16).join("."),
    destination: ip.subarray(16, 20).join("."),
    protocol: ip[9]!,
    identification: get16(ip, 4),
    offset: (get16(ip, 6) & 0x1fff) * 8,
    more: (ip[6]! & 0x20) !== 0,
    dontFragment: (ip[6]! & 0x40) !== 0,
    fragmentHeader: false,
    size: ip.length,
    header: ip.slice(0, length),
    data: ip.slice(length),
  };
}

function read6(ip: Uint8Array): Piece {
  assert.equal(get16(ip, 4) + 40, ip.length, "IPv6 payload length");
  const fragmentHeader = ip[6] === FRAGMENT;
  if (fragmentHeader) assert.equal(ip[41]! | (ip[43]! & 6), 0, "reserved fields");
  return {
    family: 6,
    source: bytesToIpv6(ip.subarray(8, 24)),
    destination: bytesToIpv6(ip.subarray(24, 40)),
    protocol: ip[fragmentHeader ? 40 : 6]!,
    identification: fragmentHeader ? get16(ip, 44) * 65536 + get16(ip, 46) : 0,
    offset: fragmentHeader ? get16(ip, 42) & 0xfff8 : 0,
    more: fragmentHeader && (ip[43]! & 1) !== 0,
    dontFragment: true,
    fragmentHeader,
    size: ip.length,
    header: ip.slice(0, 40),
    data: ip.slice(fragmentHeader ? 48 : 40),
  };
}

/** The packet with other fragment fields and other data; lengths and header checksum follow. */
export function writePiece(piece: Piece): Uint8Array {
  const header = piece.header.slice();
  if (piece.family === 4) {
    put16(header, 2, header.length + piece.data.length);
    put16(header, 4, piece.identification);
    const flags = (piece.dontFragment ? 0x4000 : 0) | (piece.more ? 0x2000 : 0);
    put16(header, 6, flags | (piece.offset / 8));
    put16(header, 10, 0);
    put16(header, 10, onesSum(header) ^ 0xffff);
    return concat(noVnet, header, piece.data);
  }
  const fragment = piece.fragmentHeader
    ? concat(
        Uint8Array.of(piece.protocol, 0),
        be16(piece.offset | Number(piece.more)),
        be32(piece.identification),
      )
    : new Uint8Array(0);
  header[6] = piece.fragmentHeader ? FRAGMENT : piece.protocol;
  put16(header, 4, fragment.length + piece.data.length);
  return concat(noVnet, header, fragment, piece.data);
}

/** Cuts a whole packet behind `ends` (multiples of eight, ascending) of the bytes that follow its IP header. */
export function cut(packet: Uint8Array, ends: readonly number[], identification: number): Uint8Array[] {
  const whole = readPiece(packet);
  const stops = [...ends, whole.data.length];
  return stops.map((end, index) =>
    writePiece({
      ...whole,
      identification,
      offset: stops[index - 1] ?? 0,
      more: index < ends.length,
      dontFragment: false,
      fragmentHeader: true,
      data: whole.data.subarray(stops[index - 1] ?? 0, end),
    }),
  );
}

/**
 * Whole packets, in the order in which their first piece came. Fails when a piece is missing, twice there or overlaps.
 * What was no fragment stays as it is; IPv4: what was one has DF=0 and its identification.
 */
export function reassemble(packets: readonly Uint8Array[]): Uint8Array[] {
  const groups = new Map<string, { packet: Uint8Array; piece: Piece }[]>();
  packets.forEach((packet, index) => {
    const piece = readPiece(packet);
    const whole = piece.offset === 0 && !piece.more;
    const { source, destination, identification } = piece;
    const key = whole ? `${index}` : [source, destination, piece.protocol, identification].join(" ");
    groups.set(key, [...(groups.get(key) ?? []), { packet, piece }]);
  });
  return [...groups].map(([key, group]) => {
    const pieces = group.map(({ piece }) => piece).sort((a, b) => a.offset - b.offset);
    const [first] = pieces;
    if (pieces.length === 1 && first!.offset === 0 && !first!.more) return group[0]!.packet;
    let end = 0;
    for (const piece of pieces) {
      assert.equal(piece.offset, end, `gap or overlap in ${key}`);
      end += piece.data.length;
    }
    assert.deepEqual(
      pieces.map(({ more }) => more),
      pieces.map((_, index) => index < pieces.length - 1),
      `M flags of ${key}`,
    );
    const data = concat(...pieces.map((piece) => piece.data));
    return writePiece({ ...first!, more: false, fragmentHeader: false, data });
  });
}
