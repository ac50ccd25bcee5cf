/** Whether a message from an upstream answers a question of ours (RFC 5452 §9.1: ID, question and address must match). */
import {
  flag,
  headerLength,
  type Message,
  opcodeMask,
  type Question,
  rcode,
  sameQuestion,
  scanMessage,
  u16,
} from "./message.ts";

/** `sent` is the question as it left, its ID included. Undefined: not an answer to it. */
export function matchReply(sent: Uint8Array, question: Question, reply: Uint8Array): Message | undefined {
  if (reply.length < headerLength || u16(reply, 0) !== u16(sent, 0)) return undefined;
  const flags = u16(reply, 2);
  if ((flags & flag.qr) === 0 || (flags & opcodeMask) !== 0) return undefined;
  const message = scanMessage(reply);
  if (message === undefined) return errorWithoutQuestion(sent, question, reply);
  return message.question.end === question.end && sameQuestion(sent, reply, question) ? message : undefined;
}

/** Servers that could not read the question leave it out of their FORMERR or NOTIMP; it is put back. */
function errorWithoutQuestion(sent: Uint8Array, question: Question, reply: Uint8Array): Message | undefined {
  const code = reply[3]! & 15;
  const counts = u16(reply, 4) | u16(reply, 6) | u16(reply, 8) | u16(reply, 10);
  if (counts !== 0 || (code !== rcode.FORMERR && code !== rcode.NOTIMP)) return undefined;
  const bytes = sent.slice(0, question.end);
  bytes.set(reply.subarray(0, 4));
  bytes.fill(0, 6, headerLength);
  return scanMessage(bytes);
}
