/** The DNS proxy: a client's message in, the reply out. Sockets and packets are its callers' business. */
import type { Logger } from "../log.ts";
import type { Trace } from "../trace.ts";
import { createAnswerer, type DnsConfig } from "./answer.ts";
import type { Answered, Asking, Transport } from "./answered.ts";
import type { AnswerCache } from "./cache.ts";
import { throughCache } from "./cached.ts";
import { createExchange } from "./exchange.ts";
import type { KnownNames } from "./known-names.ts";
import type { MapHost } from "./map-hosts.ts";
import { rcode, readQuestion, u16 } from "./message.ts";
import { type DnsPolicy, defaultPolicy, rulesOf } from "./policy.ts";
import { admit } from "./query.ts";
import { createQueryLog } from "./query-log.ts";
import { errorReply, extendedErrorCode } from "./reply.ts";
import { createResolver } from "./resolver.ts";
import { createStanding } from "./standing.ts";
import { createDnsCounts, type DnsStats, type FailureReason } from "./stats.ts";
import { createUpstream, defaultUpstreamSettings, type UpstreamSettings } from "./upstream.ts";

export type { DnsConfig } from "./answer.ts";
export type { Transport } from "./answered.ts";
export type { HostMapping, MappingUse } from "./map-hosts.ts";
export type { DnsStats } from "./stats.ts";

export interface DnsProxy {
  /** Live; questions in flight finish by the old configuration. Undefined: DNS46 is off. */
  configure(config: DnsConfig | undefined): void;
  /**
   * Reads `query` only before it returns. `client` gives the client's address, for rules and the log. A question with a
   * trace goes by no cache. Undefined: no answer is due, which is counted. Never rejects.
   */
  handle(
    query: Uint8Array,
    transport: Transport,
    client?: () => string,
    trace?: Trace,
  ): Promise<Uint8Array | undefined>;
  /** Asks anew for a worker's cache, without counting. Undefined: there is no answer worth keeping. Never rejects. */
  refresh(query: Uint8Array): Promise<Uint8Array | undefined>;
  /** Questions are logged, so none may be answered from what is remembered elsewhere. */
  readonly logs: boolean;
  /** Counts a message that a listener refused. */
  refuse(reason: "source" | "short" | "rate"): void;
  stats(): DnsStats;
  /** False while no upstream gives usable answers. */
  healthy(): boolean;
  close(): void;
}

export interface DnsProxyDependencies {
  mapHost: MapHost;
  /** The IPv6 host that a NAT address stands for; absent: reverse names are the upstreams'. */
  hostOf?: (nat4: string) => Promise<string | undefined>;
  /** Default: names are not kept. */
  names?: KnownNames;
  log: Logger;
  policy?: DnsPolicy;
  /** Default: every question goes to the upstreams. */
  cache?: AnswerCache;
  /** Instead of 53 or 853, for tests. */
  upstreamPort?: number;
  upstreamSettings?: UpstreamSettings;
}

const maxInFlight = 4096;
const ownHost = () => "localhost";

export function createDnsProxy({
  mapHost,
  hostOf = async () => undefined,
  names,
  log,
  policy = defaultPolicy,
  cache,
  upstreamPort: port,
  upstreamSettings: settings = defaultUpstreamSettings,
}: DnsProxyDependencies): DnsProxy {
  const counts = createDnsCounts();
  const rules = rulesOf(policy);
  const writeLine = createQueryLog(policy.log, log);
  const mismatched = () => counts.failed("upstream-mismatch");
  let inFlight = 0;
  /** Said already, under this configuration. */
  let looping = false;
  let config: DnsConfig | undefined;

  const resolver = createResolver({
    createUpstream: (address) => createUpstream({ address, port, settings, log, mismatched }),
    log,
  });
  const exchange = createExchange(resolver);
  const parts = { exchange, mapHost, hostOf, names, log };
  const answer = createAnswerer({ ...parts, synthesized: counts.synthesized, failed: counts.failed });
  const answerUncounted = createAnswerer({ ...parts, synthesized() {}, failed() {} });

  function drop(reason: FailureReason): undefined {
    counts.failed(reason);
  }

  function error(bytes: Uint8Array, code: number, text?: string): Answered {
    const why = text === undefined ? undefined : { code: extendedErrorCode.other, text };
    return { bytes: errorReply(bytes, code, why), rcode: code, source: "local" };
  }

  async function admitted(bytes: Uint8Array, asking: Asking): Promise<Answered | undefined> {
    if (config === undefined) return drop("disabled");
    const admission = admit(bytes);
    if (admission.kind === "drop") return drop(admission.reason);
    counts.asked(admission.kind === "query" ? admission.query.question.type : 0, asking.transport);
    if (admission.kind === "refuse") return error(bytes, admission.rcode);
    if (exchange.isEcho(bytes)) {
      if (!looping) log.warn("a DNS upstream (dnsNat46PoolIps) sends our own questions back to this gateway");
      looping = true;
      drop("loop");
      return error(bytes, rcode.SERVFAIL, "the upstream's address leads back to this gateway");
    }
    if (inFlight >= maxInFlight) return drop("overload");
    return (
      (await inTurn(() => answer(admission.query, asking, config!, rules))) ?? error(bytes, rcode.SERVFAIL)
    );
  }

  /** Undefined: a bug. */
  async function inTurn(work: () => Promise<Answered>): Promise<Answered | undefined> {
    inFlight++;
    try {
      return await work();
    } catch (bug) {
      drop("internal");
      log.error({ err: bug }, "a DNS question met a bug");
    } finally {
      inFlight--;
    }
  }

  /** Of a question that was admitted before. */
  async function askAnew(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const admission = admit(bytes);
    if (config === undefined || admission.kind !== "query" || inFlight >= maxInFlight) return undefined;
    const asking: Asking = { transport, client: ownHost };
    return (await inTurn(() => answerUncounted(admission.query, asking, config!, rules)))?.bytes;
  }

  const cached = throughCache({
    cache,
    ask: admitted,
    askAnew,
    stands: createStanding({ mapHost, hostOf }),
    remembered: (bytes, source): Answered => ({ bytes, rcode: u16(bytes, 2) & 15, source }),
  });

  return {
    configure(next) {
      config = next;
      looping = false;
      resolver.configure(next?.upstreams ?? []);
    },
    async handle(query, transport, client = ownHost, trace) {
      if (config === undefined) return drop("disabled");
      const startedAt = performance.now();
      const asking: Asking = { transport, client, trace };
      // Still synchronous: the caller's buffer is the caller's again once we wait.
      const asked = writeLine && new Uint8Array(query);
      const answered = await (trace === undefined
        ? cached.handle(query, asking)
        : admitted(new Uint8Array(query), asking));
      const ms = performance.now() - startedAt;
      if (answered?.source === "cache") counts.asked(readQuestion(answered.bytes)?.type ?? 0, transport);
      if (answered !== undefined) counts.answered(answered.rcode, answered.source, ms);
      if (asked !== undefined) writeLine?.(asked, asking, answered, ms);
      return answered?.bytes;
    },
    refresh: (query) => cached.refresh(query, "udp"),
    logs: writeLine !== undefined,
    refuse: drop,
    stats: () => ({ ...counts.snapshot(), upstreams: resolver.stats() }),
    healthy: () => resolver.healthy(),
    close: () => resolver.close(),
  };
}
