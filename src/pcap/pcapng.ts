import type { ByteSource } from "./byte-source.ts";
import {
  bigEndian,
  type Integers,
  littleEndian,
  longestFrame,
  type NextRecord,
  type PacketRecord,
} from "./packet.ts";
import { type CaptureInterface, readInterface } from "./pcapng-interface.ts";

/** The type of a section header block: the same in both byte orders (IETF opsawg-pcapng §4.1). */
export const sectionHeaderType = 0x0a0d0d0a;
const blockTypes = { interface: 1, obsoletePacket: 2, simplePacket: 3, enhancedPacket: 6 } as const;
/** More are taken for damage: each costs memory. */
const mostInterfaces = 65_536;

interface Section {
  readonly order: Integers;
  readonly interfaces: CaptureInterface[];
}

/** The rest of a pcapng file whose first block type was taken. */
export async function pcapngRecords(bytes: ByteSource): Promise<NextRecord> {
  let section = await readSectionHeader(bytes);
  return async () => {
    for (;;) {
      const typeBytes = await bytes.takeOrEnd(4, "a block type");
      if (typeBytes === undefined) return undefined;
      const type = section.order.uint32(typeBytes, 0);
      if (type === sectionHeaderType) {
        section = await readSectionHeader(bytes);
        continue;
      }
      const start = bytes.offset() - 4;
      const length = section.order.uint32(await bytes.take(4, "a block length"), 0);
      const record = await readBlock(bytes, section, type, start, checkLength(bytes, start, length, 12));
      await endBlock(bytes, section.order, start, length);
      if (record !== undefined) return record;
    }
  };
}

/** What follows the block type of a section header. It tells the byte order of its own length. */
async function readSectionHeader(bytes: ByteSource): Promise<Section> {
  const start = bytes.offset() - 4;
  const fixed = await bytes.take(20, "a section header");
  const magic = fixed.readUInt32BE(4);
  const order = magic === 0x1a2b3c4d ? bigEndian : magic === 0x4d3c2b1a ? littleEndian : undefined;
  if (order === undefined)
    throw bytes.invalid(start + 8, `expected the byte-order magic 1a2b3c4d, found ${hex(magic)}`);
  const length = checkLength(bytes, start, order.uint32(fixed, 0), 28);
  const major = order.uint16(fixed, 8);
  if (major !== 1) throw bytes.invalid(start + 12, `expected version 1 of pcapng, found ${major}`);
  await endBlock(bytes, order, start, length);
  return { order, interfaces: [] };
}

/** Reads a block's body, or some of it; the packet in it if there is one. */
async function readBlock(
  bytes: ByteSource,
  { order, interfaces }: Section,
  type: number,
  start: number,
  length: number,
): Promise<PacketRecord | undefined> {
  /** Takes the fixed fields, which need a block of some length. */
  const fields = (size: number, what: string) => {
    checkLength(bytes, start, length, 12 + size);
    return bytes.take(size, what);
  };
  const interfaceAt = (index: number): CaptureInterface => {
    const found = interfaces[index];
    if (found !== undefined) return found;
    throw bytes.invalid(
      start + 8,
      `expected one of the ${interfaces.length} interfaces described so far, found interface ${index}`,
    );
  };
  /** Takes the frame, which must fit between the fixed fields and the trailing length. */
  const frame = (captured: number) => {
    const room = Math.min(start + length - 4 - bytes.offset(), longestFrame);
    if (captured > room)
      throw bytes.invalid(bytes.offset(), `expected a captured length up to ${room}, found ${captured}`);
    return bytes.take(captured, "a packet");
  };

  switch (type) {
    case blockTypes.interface:
      if (interfaces.length === mostInterfaces)
        throw bytes.invalid(start, `expected at most ${mostInterfaces} interfaces in a section`);
      checkLength(bytes, start, length, 20);
      interfaces.push(await readInterface(bytes, order, start + length - 4));
      return undefined;
    case blockTypes.enhancedPacket:
    case blockTypes.obsoletePacket: {
      const fixed = await fields(20, "a packet block");
      // The obsolete block has a count of drops in the other half of the interface's field.
      const index = type === blockTypes.enhancedPacket ? order.uint32(fixed, 0) : order.uint16(fixed, 0);
      const { linkType, toNs } = interfaceAt(index);
      const ticks = (BigInt(order.uint32(fixed, 4)) << 32n) | BigInt(order.uint32(fixed, 8));
      const captured = order.uint32(fixed, 12);
      const truncated = captured < order.uint32(fixed, 16);
      return { timestampNs: toNs(ticks), linkType, frame: await frame(captured), truncated };
    }
    case blockTypes.simplePacket: {
      const original = order.uint32(await fields(4, "a simple packet block"), 0);
      const { linkType, snapLength } = interfaceAt(0);
      const captured = snapLength === 0 ? original : Math.min(original, snapLength);
      return { timestampNs: 0n, linkType, frame: await frame(captured), truncated: captured < original };
    }
    default:
      return undefined;
  }
}

/** Passes over what is left of a block and checks that its second length is the first. */
async function endBlock(bytes: ByteSource, order: Integers, start: number, length: number): Promise<void> {
  await bytes.skip(start + length - 4 - bytes.offset(), "a block");
  const again = order.uint32(await bytes.take(4, "a block's trailing length"), 0);
  if (again !== length)
    throw bytes.invalid(bytes.offset() - 4, `expected the block's length ${length} again, found ${again}`);
}

function checkLength(bytes: ByteSource, start: number, length: number, least: number): number {
  if (length >= least && length % 4 === 0) return length;
  throw bytes.invalid(
    start + 4,
    `expected a block length from ${least} on, a multiple of 4, found ${length}`,
  );
}

const hex = (value: number) => value.toString(16).padStart(8, "0");
