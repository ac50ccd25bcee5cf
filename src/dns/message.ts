/**
 * DNS messages read in place (RFC 1035 §4.1). Nothing here throws: a message whose counts or lengths do not fit its
 * bytes gives undefined. Offsets count from the start of the message.
 *
 *      0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
 *    +--------------------- ID ----------------------+
 *    |QR|  OPCODE   |AA|TC|RD|RA| Z|AD|CD|   RCODE   |
 *    |        QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT     |
 */
import { foldOctet, skipName } from "./name.ts";
import type { ReplySource } from "./stats.ts";

export const headerLength = 12;
export const flag = {
  qr: 0x8000,
  aa: 0x0400,
  tc: 0x0200,
  rd: 0x0100,
  ra: 0x0080,
  ad: 0x0020,
  cd: 0x0010,
} as const;
export const opcodeMask = 0x7800;
export const recordType = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  RRSIG: 46,
  HTTPS: 65,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;
export const classIn = 1;
export const rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

const rcodeNames = new Map<number, string>(Object.entries(rcode).map(([name, value]) => [value, name]));
/** `SERVFAIL`, or `RCODE9` for one without a name here. */
export function rcodeName(value: number): string {
  return rcodeNames.get(value) ?? `RCODE${value}`;
}

const typeNames = new Map<number, string>(Object.entries(recordType).map(([name, value]) => [value, name]));
/** `AAAA`, or `TYPE64` (RFC 3597 §5) for one without a name here. */
export function typeName(value: number): string {
  return typeNames.get(value) ?? `TYPE${value}`;
}

/** The number of `aaaa` or `TYPE64`; undefined when it is neither. */
export function typeNumber(text: string): number | undefined {
  const name = text.toUpperCase();
  const generic = /^TYPE(\d{1,5})$/.exec(name)?.[1];
  if (generic !== undefined) return Number(generic) <= 0xffff ? Number(generic) : undefined;
  return Object.hasOwn(recordType, name) ? recordType[name as keyof typeof recordType] : undefined;
}

export interface Question {
  /** The name starts at 12 and ends before this offset; type and class follow. */
  readonly nameEnd: number;
  readonly end: number;
  readonly type: number;
  readonly class: number;
}

export type Section = "answer" | "authority" | "additional";

export interface ResourceRecord {
  readonly section: Section;
  /** Offset of the owner name, which may be compressed. */
  readonly owner: number;
  readonly type: number;
  readonly class: number;
  /** Seconds; RFC 2181 §8: a value with the top bit set counts as 0. For OPT the raw 32 bits. */
  readonly ttl: number;
  readonly rdata: number;
  readonly end: number;
}

export interface Message {
  readonly bytes: Uint8Array;
  /** Where a reply comes from, when not from an upstream that was asked for it: see stats.ts. */
  readonly source?: ReplySource;
  readonly flags: number;
  readonly question: Question;
  readonly records: readonly ResourceRecord[];
  readonly opt: ResourceRecord | undefined;
}

export function u16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

export function u32(bytes: Uint8Array, offset: number): number {
  return u16(bytes, offset) * 0x10000 + u16(bytes, offset + 2);
}

/** Puts the ID into the message's own bytes. */
export function patchId(bytes: Uint8Array, id: number): void {
  bytes[0] = id >>> 8;
  bytes[1] = id & 255;
}

/** The first question; undefined when it does not fit. A name this early has no prior occurrence to point to. */
export function readQuestion(bytes: Uint8Array): Question | undefined {
  const nameEnd = skipName(bytes, headerLength, false);
  if (nameEnd < 0 || nameEnd + 4 > bytes.length) return undefined;
  return { nameEnd, end: nameEnd + 4, type: u16(bytes, nameEnd), class: u16(bytes, nameEnd + 2) };
}

/**
 * Walks the whole message. Needs exactly one question. A truncated reply (TC) may end inside a record: what was cut
 * is left out.
 */
export function scanMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length < headerLength || u16(bytes, 4) !== 1) return undefined;
  const question = readQuestion(bytes);
  if (question === undefined) return undefined;
  const flags = u16(bytes, 2);
  const records: ResourceRecord[] = [];
  let opt: ResourceRecord | undefined;
  let offset = question.end;
  const sections: [Section, number][] = [
    ["answer", u16(bytes, 6)],
    ["authority", u16(bytes, 8)],
    ["additional", u16(bytes, 10)],
  ];
  for (const [section, count] of sections)
    for (let index = 0; index < count; index++) {
      const record = readRecord(bytes, offset, section);
      if (record === undefined)
        return (flags & flag.tc) !== 0 ? { bytes, flags, question, records, opt } : undefined;
      if (record.type === recordType.OPT) {
        // RFC 6891 §6.1.1: one OPT, in the additional section, owned by the root.
        if (opt !== undefined || section !== "additional" || bytes[record.owner] !== 0) return undefined;
        opt = record;
      }
      records.push(record);
      offset = record.end;
    }
  return { bytes, flags, question, records, opt };
}

function readRecord(bytes: Uint8Array, owner: number, section: Section): ResourceRecord | undefined {
  const fixed = skipName(bytes, owner);
  if (fixed < 0 || fixed + 10 > bytes.length) return undefined;
  const rdata = fixed + 10;
  const end = rdata + u16(bytes, fixed + 8);
  if (end > bytes.length) return undefined;
  const type = u16(bytes, fixed);
  const raw = u32(bytes, fixed + 4);
  const ttl = raw > 0x7fffffff && type !== recordType.OPT ? 0 : raw;
  return { section, owner, type, class: u16(bytes, fixed + 2), ttl, rdata, end };
}

/** The 12-bit RCODE: the header's four bits below the OPT record's eight (RFC 6891 §6.1.3). */
export function rcodeOf(message: Message): number {
  return (message.flags & 15) | (message.opt === undefined ? 0 : (message.opt.ttl >>> 24) << 4);
}

/** True when both messages ask the same question; letter case of the name is free (RFC 4343). */
export function sameQuestion(a: Uint8Array, b: Uint8Array, question: Question): boolean {
  if (b.length < question.end) return false;
  for (let offset = headerLength; offset < question.nameEnd; offset++)
    if (foldOctet(a[offset]!) !== foldOctet(b[offset]!)) return false;
  return u32(a, question.nameEnd) === u32(b, question.nameEnd);
}
