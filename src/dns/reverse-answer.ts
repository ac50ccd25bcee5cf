/** Answers to reverse names of NAT addresses: see reverse.ts. */
import { cidrContains, ipv6ToBytes, parseCidr } from "../addresses.ts";
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import type { DnsConfig } from "./answer.ts";
import { type Answered, type Asking, cut, local } from "./answered.ts";
import { flag, type Message, rcode, rcodeOf } from "./message.ts";
import type { Query } from "./query.ts";
import { extendedErrorCode } from "./reply.ts";
import { aliasReply, leadsOn, reverseName6, withName } from "./reverse.ts";
import type { FailureReason } from "./stats.ts";
import { ifItFits } from "./writer.ts";

interface Dependencies {
  /** The IPv6 host that a NAT address stands for. Rejects when the store is out of reach. */
  hostOf(nat4: string): Promise<string | undefined>;
  ask(question: Uint8Array, whole: boolean, trace?: Trace): Promise<Message | undefined>;
  fail(query: Query, reason: FailureReason, code: number, text: string): Answered;
  readonly log: Logger;
}

/** Seconds that the alias may live at most: an address may stand for another host one day. */
const longestTtl = 600;
const { notReady, noReachableAuthority, other, synthesized } = extendedErrorCode;

/** Resolves with undefined when the address is not ours. */
export function createReverseAnswerer({ hostOf, ask, fail, log }: Dependencies) {
  let last: { readonly text: string; readonly net: ReturnType<typeof parseCidr> } | undefined;
  function isInside(subnet: string | undefined, nat4: string): boolean {
    if (subnet === undefined) return false;
    if (last?.text !== subnet) last = { text: subnet, net: parseCidr(subnet) };
    return cidrContains(last.net, nat4);
  }

  return async (
    query: Query,
    nat4: string,
    { transport, trace }: Asking,
    { subnet, maxTtl }: DnsConfig,
  ): Promise<Answered | undefined> => {
    let host6: string | undefined;
    try {
      host6 = await hostOf(nat4);
    } catch (error) {
      if (!isInside(subnet, nat4)) return undefined;
      log.debug({ err: error }, "the mapping behind a reverse name could not be looked up");
      return fail(query, "store", notReady, "the DNS46 mapping store does not answer");
    }
    if (host6 === undefined) {
      if (!isInside(subnet, nat4)) return undefined;
      trace?.("policy", { decision: "deny", why: `${nat4} stands for no host` });
      return local(query, rcode.NXDOMAIN, other, `DNS46: ${nat4} stands for no host`);
    }

    trace?.("policy", { decision: "alias", nat4, host6 });
    const target = reverseName6(ipv6ToBytes(host6));
    let reply: Message | undefined;
    if (leadsOn(query)) {
      reply = await ask(withName(query, target), transport === "tcp", trace);
      if (reply === undefined)
        return fail(query, "upstream", noReachableAuthority, "no DNS upstream answers");
      if ((reply.flags & flag.tc) !== 0) return cut(query);
    }
    const explanation = { code: synthesized, text: `DNS46 ${nat4} -> ${host6}` };
    const ttl = Math.min(longestTtl, maxTtl);
    const bytes = ifItFits(() => aliasReply(query, target, ttl, reply, explanation));
    if (bytes === undefined)
      return fail(query, "upstream", noReachableAuthority, "the upstream's reply is malformed, or too long");
    if (transport === "udp" && bytes.length > query.udpSize) return cut(query);
    return { bytes, rcode: reply === undefined ? rcode.NOERROR : rcodeOf(reply), source: "synthesized" };
  };
}
