import type { ByteSource } from "./byte-source.ts";
import { bigEndian, type Integers, littleEndian, longestFrame, type NextRecord } from "./packet.ts";

interface Variant {
  readonly order: Integers;
  /** Nanoseconds in a unit of the fraction of a second. */
  readonly unitNs: bigint;
}

/** By the first four bytes, read big-endian (IETF opsawg-pcap §4). */
export const classicMagics: ReadonlyMap<number, Variant> = new Map([
  [0xa1b2c3d4, { order: bigEndian, unitNs: 1000n }],
  [0xd4c3b2a1, { order: littleEndian, unitNs: 1000n }],
  [0xa1b23c4d, { order: bigEndian, unitNs: 1n }],
  [0x4d3cb2a1, { order: littleEndian, unitNs: 1n }],
]);

/** The rest of a classic pcap file whose magic number was taken. */
export async function classicRecords(bytes: ByteSource, { order, unitNs }: Variant): Promise<NextRecord> {
  const header = await bytes.take(20, "the file header");
  const version = `${order.uint16(header, 0)}.${order.uint16(header, 2)}`;
  if (version !== "2.4") throw bytes.invalid(4, `expected version 2.4, found ${version}`);
  // The upper half holds the length of a frame check sequence.
  const linkType = order.uint32(header, 16) & 0xffff;

  return async () => {
    const record = await bytes.takeOrEnd(16, "a packet header");
    if (record === undefined) return undefined;
    const captured = order.uint32(record, 8);
    if (captured > longestFrame)
      throw bytes.invalid(
        bytes.offset() - 8,
        `expected a captured length up to ${longestFrame}, found ${captured}`,
      );
    return {
      timestampNs:
        BigInt(order.uint32(record, 0)) * 1_000_000_000n + BigInt(order.uint32(record, 4)) * unitNs,
      linkType,
      frame: await bytes.take(captured, "a packet"),
      truncated: captured < order.uint32(record, 12),
    };
  };
}
