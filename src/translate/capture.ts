import { createReadStream } from "node:fs";
import type { CaptureFormat } from "../pcap/encode.ts";
import { linkTypes, outputLinkType } from "../pcap/link.ts";
import type { CapturedPacket } from "../pcap/packet.ts";
import { readCapture } from "../pcap/read.ts";
import { type CaptureWriter, createCaptureWriter } from "../pcap/write.ts";
import type { Translator } from "./translator.ts";

export interface CaptureSummary {
  /** Read; each is translated, dropped, truncated or notIp. */
  packets: number;
  translated: number;
  /** Written: translated packets (some as several fragments) and ICMP errors. */
  written: number;
  /** ICMP errors to senders of dropped packets. */
  icmpErrors: number;
  /** Captured in part only: there is no packet to translate. */
  truncated: number;
  /** Frames without an IP packet (ARP, …). */
  notIp: number;
  /** By reason. */
  readonly drops: Record<string, number>;
}

/**
 * Every packet of the capture file `input` through the translator, into a new file `output` of the same format. Throws
 * EG46_CAPTURE_INVALID; `summary` counts as it goes, and what it counts then is in the output. `progress` is called now
 * and then.
 */
export async function translateCapture(
  input: string,
  output: string,
  translator: Translator,
  summary: CaptureSummary,
  progress: () => void = () => {},
): Promise<void> {
  const { format, chunks } = await formatOf(input);
  let writer: CaptureWriter | undefined;
  try {
    for await (const packet of readCapture(chunks, input)) {
      writer ??= await createCaptureWriter(output, { format, linkType: packet.linkType });
      await translateOne(packet, translator, writer, summary);
      if (summary.packets % 1024 === 0) progress();
    }
    writer ??= await createCaptureWriter(output, { format, linkType: linkTypes.raw });
  } finally {
    await writer?.close();
  }
}

export function emptySummary(): CaptureSummary {
  return { packets: 0, translated: 0, written: 0, icmpErrors: 0, truncated: 0, notIp: 0, drops: {} };
}

/** The format shows in the first byte; it is read from the stream itself, which may be a pipe. */
async function formatOf(
  input: string,
): Promise<{ format: CaptureFormat; chunks: AsyncIterable<Uint8Array> }> {
  const stream = createReadStream(input);
  const iterator: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  let failed: unknown;
  const first = await iterator.next().catch((error: unknown) => {
    failed = error;
    return { done: true as const, value: undefined };
  });
  const format = first.done !== true && first.value[0] === 0x0a ? "pcapng" : "pcap";
  async function* chunks(): AsyncGenerator<Uint8Array> {
    if (failed !== undefined) throw failed;
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      stream.destroy();
    }
  }
  return { format, chunks: chunks() };
}

async function translateOne(
  packet: CapturedPacket,
  translator: Translator,
  writer: CaptureWriter,
  summary: CaptureSummary,
): Promise<void> {
  summary.packets++;
  if (packet.truncated || packet.ip === undefined) {
    summary[packet.truncated ? "truncated" : "notIp"]++;
    return;
  }
  const { outputs, drop } = translator.translate(packet.ip);
  if (drop === undefined) summary.translated++;
  else summary.drops[drop] = (summary.drops[drop] ?? 0) + 1;
  const linkHeader = drop === undefined ? packet.linkHeader : swapped(packet);
  for (const ip of outputs) {
    await writer.write(
      outputLinkType(packet.linkType) === writer.linkType
        ? { timestampNs: packet.timestampNs, ip, linkHeader }
        : { timestampNs: packet.timestampNs, ip },
    );
    summary.written++;
    if (drop !== undefined) summary.icmpErrors++;
  }
}

/** An ICMP error goes back to where the packet came from. */
function swapped({ linkType, linkHeader }: CapturedPacket): Uint8Array {
  if (linkType !== linkTypes.ethernet) return linkHeader;
  const header = Uint8Array.from(linkHeader);
  header.set(linkHeader.subarray(6, 12), 0);
  header.set(linkHeader.subarray(0, 6), 6);
  return header;
}
