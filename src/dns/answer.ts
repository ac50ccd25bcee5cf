/** From an admitted question to its reply: ask, decide, and where DNS46 is due, map every host and write the answer. */
import { bytesToIpv6 } from "../addresses.ts";
import { hasCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import { decide, type Host, lacksA, mayNeedHosts, type Synthesis } from "./dns46.ts";
import type { Exchange } from "./exchange.ts";
import { flag, type Message, rcode, recordType } from "./message.ts";
import { withOrigin } from "./origin.ts";
import type { Query } from "./query.ts";
import { errorReply, extendedErrorCode, passReply } from "./reply.ts";
import type { FailureReason } from "./stats.ts";
import { type NewAddress, synthesizeReply } from "./synthesize.ts";

export interface DnsConfig {
  /** dnsNat46PoolIps in order of preference: IPv4 or IPv6, port 53. */
  readonly upstreams: readonly string[];
  /** Answered, with a short TTL, when the pool is exhausted. IPv4. */
  readonly sorryIp?: string | undefined;
  /** maxDNS46TTL: seconds. */
  readonly maxTtl: number;
}

export type HostMapping = { readonly kind: "mapped"; readonly nat4: string } | { readonly kind: "exhausted" };
export type Transport = "udp" | "tcp";
export type Answerer = (query: Query, transport: Transport, config: DnsConfig) => Promise<Uint8Array>;

interface Dependencies {
  readonly exchange: Exchange;
  mapHost(host6: string): Promise<HostMapping>;
  readonly log: Logger;
  synthesized(): void;
  failed(reason: FailureReason): void;
}

const sorryTtl = 60;
const maxMessage = 65535;
/** Together with the resolver's deadlines this stays below the 5 s after which clients give up. */
const mappingDeadlineMs = 1500;

export function createAnswerer({ exchange, mapHost, log, synthesized, failed }: Dependencies): Answerer {
  /** Fails aloud: a client that believed 'no address' would remember it. */
  function fail(query: Query, reason: FailureReason, code: number, text: string): Uint8Array {
    failed(reason);
    return errorReply(query.bytes, rcode.SERVFAIL, { code, text });
  }

  /** Undefined: no upstream answered. */
  async function ask(question: Uint8Array, whole: boolean): Promise<Message | undefined> {
    try {
      return await exchange.ask(question, whole);
    } catch (error) {
      log.debug({ err: error }, "DNS question without an answer");
    }
  }

  async function answer(query: Query, transport: Transport, config: DnsConfig): Promise<Uint8Array> {
    const whole = transport === "tcp";
    const asked = ask(query.bytes, whole);
    // Both at once: DNS46 costs one round trip. A client that asks for AAAA too shares the second.
    const hostsQuestion = mayNeedHosts(query) ? withType(query, recordType.AAAA) : undefined;
    const hostsAsked = hostsQuestion && ask(hostsQuestion, whole);

    const reply = await asked;
    if (reply === undefined)
      return fail(query, "upstream", extendedErrorCode.noReachableAuthority, "no DNS upstream answers");
    if (hostsQuestion === undefined || !lacksA(reply)) return passReply(query, reply);

    let hostsReply = await hostsAsked;
    if (hostsReply !== undefined && (hostsReply.flags & flag.tc) !== 0)
      hostsReply = await ask(hostsQuestion, true);
    if (hostsReply === undefined)
      return fail(query, "aaaa", extendedErrorCode.noReachableAuthority, "no A, and no answer for AAAA");
    const decision = decide(query, reply, hostsReply, config.maxTtl);
    if (decision.kind === "pass") return passReply(query, reply);
    if (decision.kind === "fail")
      return fail(query, "aaaa", extendedErrorCode.noReachableAuthority, decision.reason);
    const limit = transport === "udp" ? query.udpSize : maxMessage;
    return await synthesize(query, hostsReply, decision, config.sorryIp, limit);
  }

  async function synthesize(
    query: Query,
    hostsReply: Message,
    synthesis: Synthesis,
    sorryIp: string | undefined,
    limit: number,
  ): Promise<Uint8Array> {
    const results = await Promise.allSettled(synthesis.hosts.map(mapInTime));
    const addresses = results.flatMap((result, index): NewAddress[] =>
      result.status === "fulfilled" && result.value.kind === "mapped"
        ? [{ nat4: result.value.nat4, ttl: synthesis.ttl, host: synthesis.hosts[index] }]
        : [],
    );
    const refused = results.find((result) => result.status === "rejected");
    // A store that is away or full says so itself, once.
    if (refused !== undefined && !hasCode(refused.reason, "EG46_STORE_UNAVAILABLE"))
      log.warn({ err: refused.reason }, "a DNS46 mapping could not be made");
    if (addresses.length > 0) synthesized();
    else if (refused !== undefined)
      return fail(query, "store", extendedErrorCode.notReady, "the DNS46 mapping store does not answer");
    else if (sorryIp === undefined)
      return fail(query, "exhausted", extendedErrorCode.other, "the DNS46 pool is exhausted");
    else {
      failed("exhausted");
      addresses.push({ nat4: sorryIp, ttl: Math.min(synthesis.ttl, sorryTtl), host: undefined });
    }
    const origin = addresses.every(({ host }) => host !== undefined) ? "dns46" : "sorry";
    return withOrigin(origin, synthesizeReply(query, hostsReply, synthesis, addresses, limit));
  }

  async function mapInTime(host: Host): Promise<HostMapping> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the mapping store is too slow")), mappingDeadlineMs);
    });
    return await Promise.race([mapHost(bytesToIpv6(host.address)), late]).finally(() => clearTimeout(timer));
  }

  return answer;
}

/** The client's question for another type: everything else, EDNS options included, stays. */
function withType(query: Query, type: number): Uint8Array {
  const bytes = Uint8Array.from(query.bytes);
  bytes[query.question.nameEnd] = type >>> 8;
  bytes[query.question.nameEnd + 1] = type & 255;
  return bytes;
}
