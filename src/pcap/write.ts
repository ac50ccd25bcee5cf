import { type FileHandle, open } from "node:fs/promises";
import { Eg46Error } from "../errors.ts";
import { type CaptureFormat, captureFormats } from "./encode.ts";
import { linkHeaderFor, outputLinkType } from "./link.ts";

export interface PacketToWrite {
  /** Nanoseconds since 1970. */
  readonly timestampNs: bigint;
  /** Of a packet that was read from a capture of the writer's `linkType`; its EtherType is replaced. */
  readonly linkHeader?: Uint8Array;
  /** From the IP header on, IPv4 or IPv6. */
  readonly ip: Uint8Array;
}

export interface CaptureWriter {
  /** Of the file. */
  readonly linkType: number;
  /** Wait for it before the next. Throws EG46_CAPTURE_INVALID when the file cannot be written. */
  write(packet: PacketToWrite): Promise<void>;
  close(): Promise<void>;
}

const flushAt = 65_536;

/**
 * Writes a capture file with nanosecond times. `linkType` is that of the packets' origin: Ethernet and Linux cooked
 * captures keep their link headers, everything else is written as raw IP. Truncates a file that is there.
 */
export async function createCaptureWriter(
  path: string,
  options: { readonly format: CaptureFormat; readonly linkType: number },
): Promise<CaptureWriter> {
  const linkType = outputLinkType(options.linkType);
  const encoder = captureFormats[options.format];
  const attempt = <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: Error) => {
      const message = `${path}: cannot be written: ${cause.message}`;
      throw new Eg46Error("EG46_CAPTURE_INVALID", message, { cause });
    });
  const file: FileHandle = await attempt(open(path, "w"));
  let waiting: Uint8Array[] = [encoder.header(linkType)];
  let size = 0;

  async function flush(): Promise<void> {
    const bytes = Buffer.concat(waiting);
    waiting = [];
    size = 0;
    await attempt(file.appendFile(bytes));
  }

  return {
    linkType,
    async write({ timestampNs, linkHeader, ip }) {
      const record = encoder.packet(timestampNs, linkHeaderFor(linkType, ip, linkHeader), ip);
      waiting.push(record);
      size += record.length;
      if (size >= flushAt) await flush();
    },
    async close() {
      try {
        await flush();
      } finally {
        await file.close();
      }
    },
  };
}
