import { ipv4ToNumber, ipv6ToBytes, isIpv4 } from "../addresses.ts";

/** Of the hash that spreads Pods over workers. */
export const spreadSeed = 0x46;

/** The worker that a source address belongs to: what nft's `jhash … mod workers seed …` computes (Linux jhash.h). */
export function workerOf(source: string, workers: number): number {
  return Math.floor((jhash(bytesOf(source), spreadSeed) * workers) / 2 ** 32);
}

function bytesOf(address: string): Uint8Array {
  if (!isIpv4(address)) return ipv6ToBytes(address);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, ipv4ToNumber(address));
  return bytes;
}

const rotate = (word: number, by: number) => (word << by) | (word >>> (32 - by));

/** Bob Jenkins' lookup3 as the kernel has it, for whole words in the order of a little-endian machine. */
function jhash(bytes: Uint8Array, seed: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let a = (0xdeadbeef + bytes.length + seed) | 0;
  let b = a;
  let c = a;
  let at = 0;
  for (; bytes.length - at > 12; at += 12) {
    a = (a + view.getUint32(at, true)) | 0;
    b = (b + view.getUint32(at + 4, true)) | 0;
    c = (c + view.getUint32(at + 8, true)) | 0;
    a = ((a - c) ^ rotate(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ rotate(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 4)) | 0;
    b = (b + a) | 0;
  }
  a = (a + view.getUint32(at, true)) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}
