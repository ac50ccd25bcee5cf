/** Replies without data of ours: the upstream's own, an error, a truncated one. Each is a new buffer. */
import {
  flag,
  headerLength,
  type Message,
  opcodeMask,
  patchId,
  type Question,
  type ResourceRecord,
  readQuestion,
  recordType,
  scanMessage,
  u16,
} from "./message.ts";
import { withOrigin } from "./origin.ts";
import { dnssecOkBit, ourUdpSize, type Query } from "./query.ts";
import { createWriter, type MessageWriter } from "./writer.ts";

/** Extended DNS Error: RFC 8914 §2 and IANA's registry for the codes. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}
export const extendedErrorCode = {
  other: 0,
  notReady: 14,
  noReachableAuthority: 22,
  synthesized: 29,
} as const;
const extendedErrorOption = 15;
const additionalCount = 10;

/** The upstream's reply as it stands; only the ID and the question's letter case become the client's own. */
export function passReply(query: Query, reply: Message): Uint8Array {
  // Not slice(): of a Buffer that is a view.
  const bytes = new Uint8Array(reply.bytes);
  patchId(bytes, u16(query.bytes, 0));
  bytes.set(query.bytes.subarray(headerLength, query.question.nameEnd), headerLength);
  return withOrigin("upstream", bytes);
}

/** A reply with the client's question as far as it can be read, `rcode`, and why, where the client speaks EDNS. */
export function errorReply(query: Uint8Array, rcode: number, error?: ExtendedError): Uint8Array {
  const message = scanMessage(query);
  const question = message?.question ?? (u16(query, 4) === 1 ? readQuestion(query) : undefined);
  const writer = openReply(query, question, flag.ra | (rcode & 15));
  if (message?.opt !== undefined) {
    const options = error === undefined ? [] : [encodeError(error)];
    addOpt(writer, extendedRcode(rcode) | (message.opt.ttl & dnssecOkBit), options);
  }
  return writer.finish();
}

/** RFC 2181 §9: nothing but the question; the client asks again over TCP. */
export function truncatedReply(query: Query): Uint8Array {
  const writer = openReply(query.bytes, query.question, flag.ra | flag.tc);
  if (query.opt !== undefined) addOpt(writer, query.opt.ttl & dnssecOkBit, []);
  return writer.finish();
}

/** Header (opcode, RD and CD are the client's; no counts but the question's) and question. */
export function openReply(query: Uint8Array, question: Question | undefined, flags: number): MessageWriter {
  const writer = createWriter();
  writer.u16(u16(query, 0));
  writer.u16(flag.qr | (u16(query, 2) & (opcodeMask | flag.rd | flag.cd)) | flags);
  writer.u16(question === undefined ? 0 : 1);
  for (let count = 0; count < 3; count++) writer.u16(0);
  if (question !== undefined) {
    writer.name(query.subarray(headerLength, question.nameEnd));
    writer.raw(query.subarray(question.nameEnd, question.end));
  }
  return writer;
}

/** What of an RCODE stands in the OPT record's TTL, where it belongs (RFC 6891 §6.1.3). */
export function extendedRcode(rcode: number): number {
  return (rcode >>> 4) << 24;
}

/**
 * Adds the OPT record as the only additional one (RFC 6891 §6.1.2); `ttl` holds DO and the RCODE's upper bits, `options`
 * are complete, with their headers.
 */
export function addOpt(writer: MessageWriter, ttl: number, options: readonly Uint8Array[]): void {
  writer.record(Uint8Array.of(0), recordType.OPT, ourUdpSize, ttl, () => {
    for (const option of options) writer.raw(option);
  });
  writer.patchU16(additionalCount, 1);
}

export function encodeError(error: ExtendedError): Uint8Array {
  const text = Buffer.from(error.text);
  const option = Buffer.alloc(6 + text.length);
  option.writeUInt16BE(extendedErrorOption, 0);
  option.writeUInt16BE(2 + text.length, 2);
  option.writeUInt16BE(error.code, 4);
  text.copy(option, 6);
  return option;
}

/** The extended errors of a reply. */
export function explanationsOf({ bytes, opt }: Message): ExtendedError[] {
  return optionsOf(bytes, opt)
    .filter(({ code, data }) => code === extendedErrorOption && data.length >= 2)
    .map(({ data }) => ({ code: u16(data, 0), text: Buffer.from(data.subarray(2)).toString() }));
}

/** The options of an OPT record (RFC 6891 §6.1.2) as far as they are whole. `whole`: with their headers. */
export function optionsOf(
  bytes: Uint8Array,
  opt: ResourceRecord | undefined,
): { code: number; data: Uint8Array; whole: Uint8Array }[] {
  const options = [];
  for (let offset = opt?.rdata ?? 0; opt !== undefined && offset + 4 <= opt.end; ) {
    const end = offset + 4 + u16(bytes, offset + 2);
    if (end > opt.end) break;
    options.push({
      code: u16(bytes, offset),
      data: bytes.subarray(offset + 4, end),
      whole: bytes.subarray(offset, end),
    });
    offset = end;
  }
  return options;
}
