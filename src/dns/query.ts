/** The door for clients' messages: what is a question we can work on, what gets an error reply, what gets none. */
import {
  flag,
  headerLength,
  type Message,
  opcodeMask,
  rcode,
  recordType,
  scanMessage,
  u16,
} from "./message.ts";

/** RFC 6891 §6.2.5: what a client without EDNS can take over UDP. */
const classicUdpSize = 512;
/** Our own offer and limit (DNS flag day 2020): larger datagrams risk fragmentation. */
export const ourUdpSize = 1232;
export const dnssecOkBit = 0x8000;

export interface Query extends Message {
  /** Bytes of a reply of our own making over UDP. */
  readonly udpSize: number;
  readonly dnssecOk: boolean;
  readonly checkingDisabled: boolean;
  /** Carries a TSIG: its MAC covers the question, so no other question can be asked in its name. */
  readonly signed: boolean;
}

export type Admission =
  | { readonly kind: "query"; readonly query: Query }
  | { readonly kind: "refuse"; readonly rcode: number }
  | { readonly kind: "drop"; readonly reason: "short" | "not-a-question" };

export function admit(bytes: Uint8Array): Admission {
  if (bytes.length < headerLength) return { kind: "drop", reason: "short" };
  const flags = u16(bytes, 2);
  // Answering a reply would let two servers talk to each other for ever.
  if ((flags & flag.qr) !== 0) return { kind: "drop", reason: "not-a-question" };
  if ((flags & opcodeMask) !== 0) return { kind: "refuse", rcode: rcode.NOTIMP };
  const message = scanMessage(bytes);
  if (message === undefined || (flags & flag.tc) !== 0) return { kind: "refuse", rcode: rcode.FORMERR };
  // RFC 6891 §6.1.3: EDNS of a version that we don't speak; the reply says version 0.
  if (message.opt !== undefined && ((message.opt.ttl >>> 16) & 255) !== 0)
    return { kind: "refuse", rcode: rcode.BADVERS };
  // A zone transfer is many messages; resolvers in front of Pods have no business with one.
  const { type } = message.question;
  if (type === recordType.AXFR || type === recordType.IXFR) return { kind: "refuse", rcode: rcode.NOTIMP };
  return { kind: "query", query: describe(message) };
}

function describe(message: Message): Query {
  // Field by field: this is made for every question, and a spread is slow.
  const { bytes, flags, question, records, opt } = message;
  return {
    bytes,
    flags,
    question,
    records,
    opt,
    udpSize: Math.min(ourUdpSize, Math.max(classicUdpSize, opt?.class ?? 0)),
    dnssecOk: opt !== undefined && (opt.ttl & dnssecOkBit) !== 0,
    checkingDisabled: (message.flags & flag.cd) !== 0,
    signed: message.records.some((record) => record.type === recordType.TSIG),
  };
}
