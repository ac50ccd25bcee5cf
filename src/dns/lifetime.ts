/** Which replies may be remembered, and how long (RFC 2308, RFC 8767 §4). Pure. */
import { flag, type Message, opcodeMask, rcode, rcodeOf, recordType, u32 } from "./message.ts";
import type { Origin } from "./origin.ts";

export interface Lifetime {
  /** At least 1. */
  readonly seconds: number;
  /** Its A records are addresses of DNS46: it ends with their mappings. */
  readonly synthesized: boolean;
}

/** RFC 8767 §4: longer TTLs are more likely mistakes than meant. */
const longest = 86_400;
/** The sorry IP is for the moment: the next who asks may be luckier. */
const longestSorry = 5;

/** Undefined: not to be remembered. */
export function lifetimeOf(reply: Message, origin: Origin): Lifetime | undefined {
  const seconds = Math.min(shortestTtl(reply), origin === "sorry" ? longestSorry : longest);
  return seconds > 0 && isWhole(reply) ? { seconds, synthesized: origin === "dns46" } : undefined;
}

/** RFC 2308 §7 is for others: a failure is no answer. What was cut (TC) isn't the answer. */
function isWhole(reply: Message): boolean {
  const code = rcodeOf(reply);
  if (code !== rcode.NOERROR && code !== rcode.NXDOMAIN) return false;
  return (reply.flags & (flag.tc | opcodeMask)) === 0 && (reply.flags & flag.qr) !== 0;
}

/** Seconds; 0: somewhere there is none, or the reply denies something without saying for how long (RFC 2308 §5). */
function shortestTtl(reply: Message): number {
  const { records, question } = reply;
  const ttls = records.filter(({ type }) => type !== recordType.OPT).map(({ ttl }) => ttl);
  const answered = records.some(({ section, type }) => section === "answer" && type === question.type);
  if (!answered || rcodeOf(reply) === rcode.NXDOMAIN) {
    const soa = records.find(({ section, type }) => section === "authority" && type === recordType.SOA);
    if (soa === undefined || soa.end - soa.rdata < 22) return 0;
    ttls.push(u32(reply.bytes, soa.end - 4));
  }
  return Math.min(...ttls);
}
