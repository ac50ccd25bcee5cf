import { longestFrame } from "./packet.ts";
import { sectionHeaderType } from "./pcapng.ts";

export type CaptureFormat = "pcap" | "pcapng";

interface Encoder {
  header(linkType: number): Uint8Array;
  packet(timestampNs: bigint, linkHeader: Uint8Array, ip: Uint8Array): Uint8Array;
}

const nsPerSecond = 1_000_000_000n;

/** Both little-endian with nanosecond times. A time that the format cannot hold becomes the nearest that it can. */
export const captureFormats: Readonly<Record<CaptureFormat, Encoder>> = {
  pcap: {
    header(linkType) {
      const header = Buffer.alloc(24);
      header.writeUInt32LE(0xa1b23c4d, 0);
      header.writeUInt16LE(2, 4);
      header.writeUInt16LE(4, 6);
      header.writeUInt32LE(longestFrame, 16);
      header.writeUInt32LE(linkType, 20);
      return header;
    },
    packet(timestampNs, linkHeader, ip) {
      const length = linkHeader.length + ip.length;
      const time = clamp(timestampNs, (nsPerSecond << 32n) - 1n);
      const record = Buffer.alloc(16 + length);
      record.writeUInt32LE(Number(time / nsPerSecond), 0);
      record.writeUInt32LE(Number(time % nsPerSecond), 4);
      record.writeUInt32LE(length, 8);
      record.writeUInt32LE(length, 12);
      record.set(linkHeader, 16);
      record.set(ip, 16 + linkHeader.length);
      return record;
    },
  },
  pcapng: {
    header(linkType) {
      const section = Buffer.alloc(16);
      section.writeUInt32LE(0x1a2b3c4d, 0);
      section.writeUInt16LE(1, 4);
      // The length of the section is not known.
      section.writeBigInt64LE(-1n, 8);
      const description = Buffer.alloc(20);
      description.writeUInt16LE(linkType, 0);
      // if_tsresol (option 9, one byte, padded): 10^-9 seconds; four zeros end the options.
      description.set([9, 0, 1, 0, 9], 8);
      return Buffer.concat([block(sectionHeaderType, section), block(1, description)]);
    },
    packet(timestampNs, linkHeader, ip) {
      const length = linkHeader.length + ip.length;
      const time = clamp(timestampNs, (1n << 64n) - 1n);
      const body = Buffer.alloc(20 + ((length + 3) & ~3));
      body.writeUInt32LE(Number(time >> 32n), 4);
      body.writeUInt32LE(Number(time & 0xffffffffn), 8);
      body.writeUInt32LE(length, 12);
      body.writeUInt32LE(length, 16);
      body.set(linkHeader, 20);
      body.set(ip, 20 + linkHeader.length);
      return block(6, body);
    },
  },
};

function block(type: number, body: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + body.length);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.set(body, 8);
  bytes.writeUInt32LE(bytes.length, bytes.length - 4);
  return bytes;
}

function clamp(value: bigint, most: bigint): bigint {
  return value < 0n ? 0n : value > most ? most : value;
}
