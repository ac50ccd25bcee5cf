/** Capture files in every variant, put together field by field. What src/pcap reads is compared with this. */

import { be16, be32, buildPacket, concat, type PacketInput } from "./packets.ts";
import { VNET_BYTES } from "./vnet.ts";

export type ByteOrder = "little-endian" | "big-endian";

export interface FrameSpec {
  /** In units of the file's resolution. */
  readonly ticks: bigint;
  readonly bytes: Uint8Array;
  /** On the wire; default: as captured. */
  readonly originalLength?: number;
}

/** An IP packet without the virtio-net header. */
export const ipPacket = (input: PacketInput): Uint8Array => buildPacket(input).subarray(VNET_BYTES);

export const samplePackets: Readonly<Record<4 | 6, Uint8Array>> = {
  4: ipPacket({
    source: "10.244.10.2",
    destination: "10.244.50.1",
    protocol: "udp",
    sourcePort: 4000,
    destinationPort: 40001,
  }),
  6: ipPacket({
    source: "2001:db8::2",
    destination: "2001:db8::1",
    protocol: "tcp",
    sourcePort: 4000,
    destinationPort: 80,
  }),
};

/** Numbers in the byte order of a file. */
export function ordered(order: ByteOrder) {
  const turn = (bytes: Uint8Array) => (order === "big-endian" ? bytes : bytes.toReversed());
  return {
    u16: (value: number) => turn(be16(value)),
    u32: (value: number) => turn(be32(value)),
    u64: (value: bigint) => {
      const bits = BigInt.asUintN(64, value);
      return turn(concat(be32(Number(bits >> 32n)), be32(Number(bits & 0xffffffffn))));
    },
  };
}

export function classicFile(
  order: ByteOrder,
  options: { readonly magic: number; readonly perSecond: bigint; readonly linkType: number },
  frames: readonly FrameSpec[],
): Uint8Array {
  const { u16, u32 } = ordered(order);
  const header = concat(
    ...[u32(options.magic), u16(2), u16(4), u32(0), u32(0), u32(262144)],
    u32(options.linkType),
  );
  const records = frames.map(({ ticks, bytes, originalLength }) =>
    concat(
      ...[ticks / options.perSecond, ticks % options.perSecond].map((part) => u32(Number(part))),
      ...[bytes.length, originalLength ?? bytes.length].map(u32),
      bytes,
    ),
  );
  return concat(header, ...records);
}

/** Blocks of pcapng. */
export function blocks(order: ByteOrder) {
  const { u16, u32, u64 } = ordered(order);
  const padded = (bytes: Uint8Array) => concat(bytes, new Uint8Array(-bytes.length & 3));
  const block = (type: number, ...body: readonly Uint8Array[]) => {
    const content = padded(concat(...body));
    const length = u32(content.length + 12);
    return concat(u32(type), length, content, length);
  };
  const option = (code: number, value: Uint8Array) => concat(u16(code), u16(value.length), padded(value));
  const packetFields = ({ ticks, bytes, originalLength }: FrameSpec) =>
    concat(
      ...[u32(Number(ticks >> 32n)), u32(Number(ticks & 0xffffffffn))],
      ...[u32(bytes.length), u32(originalLength ?? bytes.length), bytes],
    );
  return {
    block,
    option,
    section: (...options: readonly Uint8Array[]) =>
      block(0x0a0d0d0a, u32(0x1a2b3c4d), u16(1), u16(0), u64(-1n), ...options),
    describe: (linkType: number, snapLength = 0, ...options: readonly Uint8Array[]) =>
      block(1, u16(linkType), u16(0), u32(snapLength), ...options),
    resolution: (value: number) => option(9, Uint8Array.of(value)),
    timeOffset: (seconds: bigint) => option(14, u64(seconds)),
    endOfOptions: () => option(0, new Uint8Array(0)),
    comment: (text: string) => option(1, Buffer.from(text)),
    enhanced: (index: number, frame: FrameSpec, ...options: readonly Uint8Array[]) =>
      block(6, u32(index), padded(packetFields(frame)), ...options),
    obsolete: (index: number, frame: FrameSpec) => block(2, u16(index), u16(0xffff), packetFields(frame)),
    simple: (originalLength: number, bytes: Uint8Array) => block(3, u32(originalLength), bytes),
  };
}

/** The bytes in pieces of `size`, as a stream brings them. */
export async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
