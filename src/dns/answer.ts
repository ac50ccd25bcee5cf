/** From an admitted question to its reply: ask, decide, and where DNS46 is due, map every host and write the answer. */
import { hasCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import { type Answered, type Asking, cut, local, pass } from "./answered.ts";
import { decide, lacksA, type Synthesis, whyUnchanged } from "./dns46.ts";
import type { Exchange } from "./exchange.ts";
import { type KnownNames, noteName, recallName } from "./known-names.ts";
import { createHostMapper, type MapHost } from "./map-hosts.ts";
import {
  flag,
  headerLength,
  type Message,
  rcode,
  rcodeName,
  rcodeOf,
  readQuestion,
  recordType,
  typeName,
} from "./message.ts";
import { withOrigin, withoutOrigin } from "./origin.ts";
import type { Rules } from "./policy.ts";
import type { Query } from "./query.ts";
import type { Trace as UpstreamTrace } from "./race.ts";
import { extendedErrorCode } from "./reply.ts";
import { reversedIpv4 } from "./reverse.ts";
import { createReverseAnswerer } from "./reverse-answer.ts";
import type { FailureReason } from "./stats.ts";
import { synthesizeReply } from "./synthesize.ts";

export interface DnsConfig {
  /** dnsNat46PoolIps in order of preference: IPv4 or IPv6, port 53. */
  readonly upstreams: readonly string[];
  /** dnsNat46Ipv4Subnet: addresses in it have no reverse names but ours. */
  readonly subnet?: string | undefined;
  /** Answered, with a short TTL, when the pool is exhausted. IPv4. */
  readonly sorryIp?: string | undefined;
  /** maxDNS46TTL: seconds. */
  readonly maxTtl: number;
}

export type Answerer = (query: Query, asking: Asking, config: DnsConfig, rules: Rules) => Promise<Answered>;

interface Dependencies {
  readonly exchange: Pick<Exchange, "ask">;
  readonly mapHost: MapHost;
  /** The IPv6 host that a NAT address stands for. Rejects when the store is out of reach. */
  hostOf(nat4: string): Promise<string | undefined>;
  readonly names?: KnownNames | undefined;
  readonly log: Logger;
  synthesized(): void;
  failed(reason: FailureReason): void;
}

const sorryTtl = 60;
const maxMessage = 65535;
const { notReady, noReachableAuthority, other } = extendedErrorCode;

export function createAnswerer(parts: Dependencies): Answerer {
  const { exchange, names, log, synthesized, failed } = parts;
  const mapAll = createHostMapper(parts.mapHost);
  const reverse = createReverseAnswerer({ hostOf: parts.hostOf, ask, fail, log });

  /** Fails aloud: a client that believed 'no address' would remember it. */
  function fail(query: Query, reason: FailureReason, code: number, text: string): Answered {
    failed(reason);
    return local(query, rcode.SERVFAIL, code, text);
  }

  /** Undefined: no upstream answered. */
  async function ask(question: Uint8Array, whole: boolean, trace?: Trace): Promise<Message | undefined> {
    try {
      return await exchange.ask(question, whole, trace && upstreamSteps(question, trace));
    } catch (error) {
      log.debug({ err: error }, "DNS question without an answer");
    }
  }

  async function answer(query: Query, asking: Asking, config: DnsConfig, rules: Rules): Promise<Answered> {
    const nat4 = reversedIpv4(query);
    if (nat4 !== undefined && !rules.excludesClient?.(asking.client())) {
      const reversed = await reverse(query, nat4, asking, config);
      if (reversed !== undefined) return reversed;
    }

    const { trace } = asking;
    const whole = asking.transport === "tcp";
    const asked = ask(query.bytes, whole, trace);
    // Both at once: DNS46 costs one round trip. A client that asks for AAAA too shares the second.
    const unchanged = whyUnchanged(query, asking.client, rules);
    const asksForA = query.question.type === recordType.A;
    const secondQuestion =
      unchanged === undefined ? withType(query, asksForA ? recordType.AAAA : recordType.A) : undefined;
    const askedToo = secondQuestion && ask(secondQuestion, whole, trace);

    const reply = await asked;
    if (reply === undefined) {
      const recalled =
        unchanged === undefined && asksForA && names && (await recallName(names, query, rules));
      if (!recalled) return fail(query, "upstream", noReachableAuthority, "no DNS upstream answers");
      trace?.("policy", { decision: "known name", hosts: recalled.hosts.length });
      const nothing = { ...query, flags: flag.ra, opt: undefined };
      return {
        ...(await synthesize(query, nothing, nothing, recalled, asking, config.sorryIp)),
        source: "stale",
      };
    }
    const keep = (why: string) => {
      trace?.("policy", { decision: "unchanged", why });
      return pass(query, reply);
    };
    if (secondQuestion === undefined) return keep(unchanged ?? "");
    if (asksForA ? !lacksA(reply) : isCut(reply)) return keep(whyNotLacking(reply));

    let second = await askedToo;
    if (second !== undefined && isCut(second)) second = await ask(secondQuestion, true, trace);
    const [aReply, hostsReply] = asksForA ? [reply, second] : [second, reply];
    if (aReply === undefined || !lacksA(aReply)) return keep(whyNotLacking(aReply));
    const decision = decide(query, aReply, hostsReply, config.maxTtl, rules);
    if (decision.kind === "pass" || (decision.kind === "fail" && !asksForA)) return keep(decision.why);
    if (decision.kind === "fail") {
      trace?.("policy", { decision: "fail", why: decision.why });
      return fail(query, "aaaa", noReachableAuthority, decision.why);
    }
    trace?.("policy", { decision: "synthesize", hosts: decision.hosts.length, ttl: decision.ttl });
    return await synthesize(query, reply, hostsReply!, decision, asking, config.sorryIp);
  }

  /** `reply` is what goes back where a question for AAAA can't get an address beside its answer. */
  async function synthesize(
    query: Query,
    reply: Message,
    hostsReply: Message,
    synthesis: Synthesis,
    { transport, trace }: Asking,
    sorryIp: string | undefined,
  ): Promise<Answered> {
    const asksForA = query.question.type === recordType.A;
    const name = query.bytes.subarray(headerLength, query.question.nameEnd);
    const { addresses, refused } = await mapAll(synthesis, name, trace);
    // A store that is away or full says so itself, once.
    if (refused !== undefined && !hasCode(refused, "EG46_STORE_UNAVAILABLE"))
      log.warn({ err: refused }, "a DNS46 mapping could not be made");
    if (addresses.length > 0) {
      synthesized();
      if (names !== undefined) noteName(names, query, synthesis);
    } else if (!asksForA) {
      failed(refused === undefined ? "exhausted" : "store");
      return pass(query, reply);
    } else if (refused !== undefined)
      return fail(query, "store", notReady, "the DNS46 mapping store does not answer");
    else if (sorryIp === undefined) return fail(query, "exhausted", other, "the DNS46 pool is exhausted");
    else {
      failed("exhausted");
      trace?.("sorry", { nat4: sorryIp, why: "the DNS46 pool is exhausted" });
      addresses.push({ nat4: sorryIp, ttl: Math.min(synthesis.ttl, sorryTtl), host: undefined });
    }
    const limit = transport === "udp" ? query.udpSize : maxMessage;
    const bytes = synthesizeReply(query, hostsReply, synthesis, addresses, limit);
    if (bytes === undefined) return asksForA ? cut(query) : pass(query, reply);
    withOrigin(addresses[0]?.host === undefined ? "sorry" : "dns46", bytes);
    return { bytes, rcode: rcode.NOERROR, source: "synthesized", made: addresses };
  }

  return async (query, asking, config, rules) => {
    const answered = await answer(query, asking, config, rules);
    // Another client may get another answer, so this one is not to be remembered.
    if (dependsOnClient(query, rules)) withoutOrigin(answered.bytes);
    return answered;
  };
}

function upstreamSteps(question: Uint8Array, trace: Trace): UpstreamTrace {
  const type = typeName(readQuestion(question)?.type ?? 0);
  return (address, said, ms) => trace("upstream", { address, type, said, ms: Math.round(ms * 1000) / 1000 });
}

function dependsOnClient(query: Query, { excludesClient, addToAaaa }: Rules): boolean {
  if (excludesClient === undefined) return false;
  const { type } = query.question;
  const made = type === recordType.A || (type === recordType.AAAA && addToAaaa);
  return made || reversedIpv4(query) !== undefined;
}

function isCut(reply: Message): boolean {
  return (reply.flags & flag.tc) !== 0;
}

function whyNotLacking(reply: Message | undefined): string {
  if (reply === undefined) return "no answer for A";
  if (rcodeOf(reply) !== rcode.NOERROR) return `${rcodeName(rcodeOf(reply))} for A`;
  return isCut(reply) ? "the reply is cut" : "there is an A";
}

/** The client's question for another type: everything else, EDNS options included, stays. */
function withType(query: Query, type: number): Uint8Array {
  const bytes = new Uint8Array(query.bytes);
  bytes[query.question.nameEnd] = type >>> 8;
  bytes[query.question.nameEnd + 1] = type & 255;
  return bytes;
}
