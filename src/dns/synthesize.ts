/** Writes the DNS46 reply (specification: 'Return the new type A record, and the original type AAAA record'). */
import { bytesToIpv6, ipv4ToNumber } from "../addresses.ts";
import type { Host, Synthesis } from "./dns46.ts";
import { classIn, flag, type Message, recordType } from "./message.ts";
import { dnssecOkBit, type Query } from "./query.ts";
import { addOpt, encodeError, extendedErrorCode, openReply, optionsOf } from "./reply.ts";
import { ifItFits } from "./writer.ts";

export interface NewAddress {
  /** Dotted IPv4. */
  readonly nat4: string;
  /** Seconds. */
  readonly ttl: number;
  /** What it stands for; undefined for the sorry IP. */
  readonly host: Host | undefined;
}

const cookieOption = 10;
const answerCount = 6;

/** `limit`: largest reply in bytes. Undefined: it does not fit, even without the text. */
export function synthesizeReply(
  query: Query,
  aaaaReply: Message,
  synthesis: Synthesis,
  addresses: readonly NewAddress[],
  limit: number,
): Uint8Array | undefined {
  for (const withText of [true, false]) {
    const bytes = ifItFits(() => write(query, aaaaReply, synthesis, addresses, withText));
    if (bytes !== undefined && bytes.length <= limit) return bytes;
  }
}

function write(
  query: Query,
  aaaaReply: Message,
  { chain, owner, originals }: Synthesis,
  addresses: readonly NewAddress[],
  withText: boolean,
): Uint8Array {
  // Neither AA nor AD: the data is ours, no zone's, and nothing signs it (RFC 6147 §5.5).
  const writer = openReply(query.bytes, query.question, aaaaReply.flags & flag.ra);
  for (const link of chain)
    writer.record(link.owner, link.type, classIn, link.ttl, () => {
      // RFC 6672 §2.5: the target of a DNAME is never compressed.
      if (link.type === recordType.DNAME) writer.raw(link.target);
      else writer.name(link.target);
    });
  const added = () => {
    for (const { nat4, ttl } of addresses)
      writer.record(owner, recordType.A, classIn, ttl, () => writer.u32(ipv4ToNumber(nat4)));
  };
  // What was asked for comes first.
  const asksForA = query.question.type === recordType.A;
  if (asksForA) added();
  for (const host of originals)
    writer.record(owner, recordType.AAAA, classIn, host.ttl, () => writer.raw(host.address));
  if (!asksForA) added();
  writer.patchU16(answerCount, chain.length + addresses.length + originals.length);
  if (query.opt !== undefined) {
    const options = cookiesOf(aaaaReply);
    if (withText)
      options.push(encodeError({ code: extendedErrorCode.synthesized, text: describe(addresses) }));
    addOpt(writer, query.opt.ttl & dnssecOkBit, options);
  }
  return writer.finish();
}

function describe(addresses: readonly NewAddress[]): string {
  const texts = addresses.map(({ nat4, host }) =>
    host === undefined
      ? `${nat4} is the sorry IP: pool exhausted`
      : `${nat4} <- ${bytesToIpv6(host.address)}`,
  );
  return `DNS46 ${texts.join(", ")}`;
}

/** RFC 7873 §5.3: a client that sent a cookie to this server before discards a reply without one. */
function cookiesOf({ bytes, opt }: Message): Uint8Array[] {
  return optionsOf(bytes, opt)
    .filter(({ code }) => code === cookieOption)
    .slice(0, 1)
    .map(({ whole }) => whole);
}
