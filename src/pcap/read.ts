import { createReadStream } from "node:fs";
import { type ByteSource, byteSource } from "./byte-source.ts";
import { classicMagics, classicRecords } from "./classic.ts";
import { withoutPadding } from "./ip-length.ts";
import { linkHeaderLength } from "./link.ts";
import type { CapturedPacket, NextRecord, PacketRecord } from "./packet.ts";
import { pcapngRecords, sectionHeaderType } from "./pcapng.ts";

/**
 * The packets of a capture file, classic pcap or pcapng, in memory that does not grow with the file. Throws
 * EG46_CAPTURE_INVALID after the last packet that could be read when what follows is malformed or cut off; the
 * message names the file, the offset and what was expected there. Views stay valid; do not write into them.
 */
export async function* readCapture(
  source: string | AsyncIterable<Uint8Array>,
  name: string = typeof source === "string" ? source : "capture",
): AsyncGenerator<CapturedPacket, void, undefined> {
  const stream = typeof source === "string" ? createReadStream(source) : source;
  const bytes = byteSource(stream, name);
  try {
    const next = await recordsOf(bytes);
    for (let record = await next(); record !== undefined; record = await next()) yield withIp(record);
  } finally {
    await bytes.close();
  }
}

async function recordsOf(bytes: ByteSource): Promise<NextRecord> {
  const magic = (await bytes.take(4, "the magic number")).readUInt32BE(0);
  if (magic === sectionHeaderType) return pcapngRecords(bytes);
  const variant = classicMagics.get(magic);
  if (variant !== undefined) return classicRecords(bytes, variant);
  const found = magic.toString(16).padStart(8, "0");
  throw bytes.invalid(0, `expected the magic number of pcap or pcapng, found ${found}`);
}

function withIp(record: PacketRecord): CapturedPacket {
  const { frame, linkType } = record;
  const length = linkHeaderLength(linkType, frame);
  return {
    ...record,
    ip: length === undefined ? undefined : withoutPadding(frame.subarray(length)),
    linkHeader: frame.subarray(0, length ?? 0),
  };
}
