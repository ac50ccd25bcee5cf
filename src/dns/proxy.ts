/** The DNS proxy: a client's message in, the reply out. Sockets and packets are its callers' business. */
import type { Logger } from "../log.ts";
import { createAnswerer, type DnsConfig, type HostMapping, type Transport } from "./answer.ts";
import type { AnswerCache } from "./cache.ts";
import { throughCache } from "./cached.ts";
import { createExchange } from "./exchange.ts";
import { rcode, rcodeName, u16 } from "./message.ts";
import { admit } from "./query.ts";
import { errorReply, extendedErrorCode } from "./reply.ts";
import { createResolver } from "./resolver.ts";
import { type DnsStats, type FailureReason, failureReasons } from "./stats.ts";
import { createUpstream, defaultUpstreamSettings, type UpstreamSettings } from "./upstream.ts";

export type { DnsConfig, HostMapping, Transport } from "./answer.ts";
export type { DnsStats } from "./stats.ts";

export interface DnsProxy {
  /** Live; questions in flight finish by the old configuration. Undefined: DNS46 is off. */
  configure(config: DnsConfig | undefined): void;
  /** Reads `query` only before it returns. Undefined: no answer is due, which is counted. Never rejects. */
  handle(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined>;
  /** Asks anew for a worker's cache, without counting. Undefined: there is no answer worth keeping. Never rejects. */
  refresh(query: Uint8Array): Promise<Uint8Array | undefined>;
  /** Counts a message that a listener refused. */
  refuse(reason: "source" | "short" | "rate"): void;
  stats(): DnsStats;
  /** False while no upstream gives usable answers. */
  healthy(): boolean;
  close(): void;
}

export interface DnsProxyDependencies {
  /**
   * The NAT IPv4 of an IPv6 host (text), once it is stored and installed. Rejects when the store is out of reach.
   */
  mapHost(host6: string): Promise<HostMapping>;
  log: Logger;
  /** Default: every question goes to the upstreams. */
  cache?: AnswerCache;
  /** Instead of 53 or 853, for tests. */
  upstreamPort?: number;
  upstreamSettings?: UpstreamSettings;
}

const maxInFlight = 4096;

export function createDnsProxy({
  mapHost,
  log,
  cache,
  upstreamPort: port,
  upstreamSettings: settings = defaultUpstreamSettings,
}: DnsProxyDependencies): DnsProxy {
  const failures = Object.fromEntries(failureReasons.map((reason) => [reason, 0])) as Record<
    FailureReason,
    number
  >;
  const responses: Record<string, number> = {};
  let questions = 0;
  let synthesized = 0;
  let inFlight = 0;
  /** Said already, under this configuration. */
  let looping = false;
  let config: DnsConfig | undefined;

  const resolver = createResolver({
    createUpstream: (address) =>
      createUpstream({ address, port, settings, log, mismatched: () => failures["upstream-mismatch"]++ }),
    log,
  });
  const exchange = createExchange(resolver);
  const answer = createAnswerer({
    exchange,
    mapHost,
    log,
    synthesized: () => synthesized++,
    failed: drop,
  });

  function drop(reason: FailureReason): undefined {
    failures[reason]++;
  }

  async function admitted(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    if (config === undefined) return drop("disabled");
    const admission = admit(bytes);
    if (admission.kind === "drop") return drop(admission.reason);
    questions++;
    if (admission.kind === "refuse") return errorReply(bytes, admission.rcode);
    if (exchange.isEcho(bytes)) {
      if (!looping) log.warn("a DNS upstream (dnsNat46PoolIps) sends our own questions back to this gateway");
      looping = true;
      drop("loop");
      const text = "the upstream's address leads back to this gateway";
      return errorReply(bytes, rcode.SERVFAIL, { code: extendedErrorCode.other, text });
    }
    if (inFlight >= maxInFlight) return drop("overload");
    inFlight++;
    try {
      return await answer(admission.query, transport, config);
    } catch (error) {
      drop("internal");
      log.error({ err: error }, "a DNS question met a bug");
      return errorReply(bytes, rcode.SERVFAIL);
    } finally {
      inFlight--;
    }
  }

  /** Of a question that was admitted before. */
  async function askAnew(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const admission = admit(bytes);
    if (config === undefined || admission.kind !== "query" || inFlight >= maxInFlight) return undefined;
    return await answer(admission.query, transport, config).catch(() => undefined);
  }

  const cached = throughCache({
    cache,
    async ask(query, { transport }: { readonly transport: Transport }) {
      const bytes = await admitted(query, transport);
      return bytes && { bytes };
    },
    askAnew,
    remembered(bytes, source) {
      if (source === "cache") questions++;
      return { bytes };
    },
  });

  return {
    configure(next) {
      config = next;
      looping = false;
      resolver.configure(next?.upstreams ?? []);
    },
    async handle(query, transport) {
      const answered = config === undefined ? drop("disabled") : await cached.handle(query, { transport });
      const reply = answered?.bytes;
      if (reply !== undefined) {
        const name = rcodeName(u16(reply, 2) & 15);
        responses[name] = (responses[name] ?? 0) + 1;
      }
      return reply;
    },
    refresh: (query) => cached.refresh(query, "udp"),
    refuse: drop,
    stats: () => ({
      questions,
      responses: { ...responses },
      synthesized,
      failures: { ...failures },
      upstreams: resolver.stats(),
    }),
    healthy: () => resolver.healthy(),
    close: () => resolver.close(),
  };
}
