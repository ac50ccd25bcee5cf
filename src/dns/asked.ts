/** A question to upstreams, read once, however many of them are asked. */
import {
  headerLength,
  type Message,
  type Question,
  type ResourceRecord,
  readQuestion,
  recordType,
  scanMessage,
  u16,
} from "./message.ts";

export interface Asked {
  /** The client's own message, ID and letter case included. Not to be written to. */
  readonly bytes: Uint8Array;
  readonly question: Question;
  /** A TSIG or SIG(0) covers the bytes: nothing but the ID may change. */
  readonly signed: boolean;
  readonly opt: ResourceRecord | undefined;
}

/** RFC 2931 §3.1. */
const sigType = 24;
const classicUdpSize = 512;

/** Undefined: not one question. */
export function readAsked(bytes: Uint8Array): Asked | undefined {
  if (bytes.length < headerLength) return undefined;
  const plain = u16(bytes, 6) + u16(bytes, 8) + u16(bytes, 10) === 0;
  if (plain) {
    const question = u16(bytes, 4) === 1 ? readQuestion(bytes) : undefined;
    return question && { bytes, question, signed: false, opt: undefined };
  }
  const message = scanMessage(bytes);
  return message && { bytes, question: message.question, signed: isSigned(message), opt: message.opt };
}

/** Bytes of a reply over UDP (RFC 6891 §6.2.3). */
export function udpSize({ opt }: Asked): number {
  return Math.max(classicUdpSize, opt?.class ?? 0);
}

function isSigned({ records }: Message): boolean {
  return records.some(({ type }) => type === recordType.TSIG || type === sigType);
}
