/**
 * Reverse names of NAT addresses: 9.7.2.10.in-addr.arpa is an alias of the IPv6 host's ip6.arpa name, the mirror image of
 * RFC 6147 §5.3.1 (2). Pure: names, the question to ask in its place, and the reply out of the upstream's.
 */
import { classIn, flag, headerLength, type Message, rcodeOf, recordType } from "./message.ts";
import { foldOctet, textToName } from "./name.ts";
import { dnssecOkBit, type Query } from "./query.ts";
import { copyRecord } from "./record.ts";
import { addOpt, type ExtendedError, encodeError, extendedRcode, openReply } from "./reply.ts";

const suffix4 = textToName("in-addr.arpa");
const answerCount = 6;
const authorityCount = 8;

/** `9.7.2.10.in-addr.arpa` → 10.2.7.9. Undefined: any other name, or a question that isn't ours to answer. */
export function reversedIpv4({ bytes, question, signed }: Query): string | undefined {
  const start = question.nameEnd - suffix4.length;
  if (question.class !== classIn || signed || start < headerLength + 8) return undefined;
  for (let index = 0; index < suffix4.length; index++)
    if (foldOctet(bytes[start + index]!) !== suffix4[index]) return undefined;
  const labels: string[] = [];
  for (let offset = headerLength; offset < start; offset += 1 + bytes[offset]!)
    labels.push(String.fromCharCode(...bytes.subarray(offset + 1, offset + 1 + bytes[offset]!)));
  const octets = labels.every((label) => /^(0|[1-9]\d{0,2})$/.test(label) && Number(label) < 256);
  return labels.length === 4 && octets ? labels.reverse().join(".") : undefined;
}

/** 16 bytes → the 32 nibbles under ip6.arpa (RFC 3596 §2.5), in wire form. */
export function reverseName6(address: Uint8Array): Uint8Array {
  const nibbles = Array.from(address, (octet) => octet.toString(16).padStart(2, "0")).join("");
  return textToName(`${[...nibbles].reverse().join(".")}.ip6.arpa`);
}

/** The client's question for another name: header and EDNS stay. */
export function withName({ bytes, question, opt }: Query, name: Uint8Array): Uint8Array {
  const header = bytes.slice(0, headerLength);
  header.fill(0, 6, headerLength);
  header[11] = opt === undefined ? 0 : 1;
  const parts = [header, name, bytes.subarray(question.nameEnd, question.end)];
  if (opt !== undefined) parts.push(bytes.subarray(opt.owner, opt.end));
  return Buffer.concat(parts);
}

/** Whether more is asked for than the alias itself. */
export function leadsOn({ question }: Query): boolean {
  return question.type !== recordType.CNAME && question.type !== recordType.ANY;
}

/**
 * The alias, and what the upstream says of `target` (undefined: it was not asked). Undefined: the upstream's reply is
 * malformed.
 */
export function aliasReply(
  query: Query,
  target: Uint8Array,
  ttl: number,
  reply: Message | undefined,
  explanation: ExtendedError,
): Uint8Array | undefined {
  const code = reply === undefined ? 0 : rcodeOf(reply);
  const available = reply === undefined ? flag.ra : reply.flags & flag.ra;
  // RFC 6604 §3: the RCODE is that of the end of the chain.
  const writer = openReply(query.bytes, query.question, available | (code & 15));
  const owner = query.bytes.subarray(headerLength, query.question.nameEnd);
  writer.record(owner, recordType.CNAME, classIn, ttl, () => writer.name(target));
  const copied = { answer: 1, authority: 0 };
  for (const record of reply?.records ?? []) {
    if (record.section === "additional") continue;
    if (!copyRecord(writer, reply!, record)) return undefined;
    copied[record.section]++;
  }
  writer.patchU16(answerCount, copied.answer);
  writer.patchU16(authorityCount, copied.authority);
  if (query.opt !== undefined)
    addOpt(writer, extendedRcode(code) | (query.opt.ttl & dnssecOkBit), [encodeError(explanation)]);
  return writer.finish();
}
