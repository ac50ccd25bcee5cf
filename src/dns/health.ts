/** What we know of one upstream by its real answers: whether it is worth asking first, and how long to wait for it. */
import type { Logger } from "../log.ts";
import type { Asked } from "./asked.ts";
import { createLatency } from "./latency.ts";
import { headerLength, rcode, rcodeOf } from "./message.ts";
import type { Ticket, Upstream } from "./upstream.ts";

/** Counts since the start; a question that another upstream answered sooner is in none but `questions`. */
export interface UpstreamStats {
  readonly address: string;
  readonly transport: string;
  readonly healthy: boolean;
  /** Why it cannot be asked as it should be. */
  readonly problem?: string;
  readonly questions: number;
  readonly answered: number;
  /** SERVFAIL or REFUSED. */
  readonly refused: number;
  readonly silent: number;
  /** Of the latest answers, milliseconds; absent before the first. */
  readonly latencyMs?: { readonly p50: number; readonly p99: number };
}

export interface Health {
  good(): boolean;
  /** Milliseconds after which another upstream is asked as well. */
  patienceMs(): number;
  asked(): void;
  /** A usable answer. */
  answered(asked: Asked, latencyMs: number): void;
  /** SERVFAIL or REFUSED. */
  refused(asked: Asked): void;
  /** Nothing in time, or a network error. */
  silent(asked: Asked): void;
  stats(): UpstreamStats;
  stop(): void;
}

const failuresUntilSick = 3;
const probeEveryMs = 1000;
const patience = { leastMs: 150, mostMs: 600 };

/** `recovered`: it answers again. */
export function createHealth(upstream: Upstream, log: Logger, recovered: () => void): Health {
  const latency = createLatency();
  const counts = { questions: 0, answered: 0, refused: 0, silent: 0 };
  let failures = 0;
  const refusedNames = new Set<string>();
  let known: Asked | undefined;
  let probing: NodeJS.Timeout | undefined;
  let probe: Ticket | undefined;
  let stopped = false;

  function well(asked: Asked, latencyMs: number): void {
    known = asked;
    latency.add(latencyMs);
    if (failures > 0) {
      failures = 0;
      refusedNames.clear();
    }
    if (probing === undefined) return;
    stopProbing();
    log.info({ upstream: upstream.address }, "DNS upstream answers again");
    recovered();
  }

  function failed(asked: Asked, why: string): void {
    known ??= asked;
    failures++;
    if (failures < failuresUntilSick || probing !== undefined || stopped) return;
    log.warn({ upstream: upstream.address }, `DNS upstream ${why}; others are asked first`);
    probing = setInterval(askAgain, probeEveryMs).unref();
  }

  /** Asks again what it has answered before, so that a sick upstream is found well without a client that waits. */
  function askAgain(): void {
    const question = known;
    if (question === undefined) return;
    const startedAt = performance.now();
    probe?.cancel();
    probe = upstream.ask(question, false, {
      answered(reply) {
        const code = rcodeOf(reply);
        const took = performance.now() - startedAt;
        // Later than anybody waits for it is as good as never.
        if (code !== rcode.SERVFAIL && code !== rcode.REFUSED && took <= patience.mostMs)
          well(question, took);
      },
      failed: () => undefined,
    });
  }

  function stopProbing(): void {
    clearInterval(probing);
    probing = undefined;
    probe?.cancel();
    probe = undefined;
  }

  return {
    good: () => probing === undefined,
    patienceMs: () => Math.min(patience.mostMs, Math.max(patience.leastMs, 3 * latency.smoothedMs())),
    asked: () => void counts.questions++,
    answered(asked, latencyMs) {
      counts.answered++;
      well(asked, latencyMs);
    },
    refused(asked) {
      counts.refused++;
      // A broken zone, asked for again and again, says nothing about the upstream.
      const { bytes, question } = asked;
      const name = Buffer.from(bytes.subarray(headerLength, question.nameEnd))
        .toString("latin1")
        .toLowerCase();
      if (refusedNames.has(name) || refusedNames.size >= failuresUntilSick) return;
      refusedNames.add(name);
      failed(asked, "refuses or fails");
    },
    silent(asked) {
      counts.silent++;
      failed(asked, "does not answer in time");
    },
    stats() {
      const [p50, p99] = [latency.quantileMs(0.5), latency.quantileMs(0.99)];
      const problem = upstream.problem();
      return {
        address: upstream.address,
        transport: upstream.transport(),
        healthy: probing === undefined,
        ...(problem !== undefined && { problem }),
        ...counts,
        ...(p50 !== undefined && p99 !== undefined && { latencyMs: { p50, p99 } }),
      };
    },
    stop() {
      stopped = true;
      stopProbing();
    },
  };
}
