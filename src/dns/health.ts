/** What we know of one upstream by its real answers: whether it is worth asking first, and how long to wait for it. */
import type { Logger } from "../log.ts";
import { headerLength, rcode, rcodeOf, readQuestion } from "./message.ts";
import type { Upstream } from "./upstream.ts";

export interface Health {
  good(): boolean;
  /** Milliseconds after which another upstream is asked as well. */
  patienceMs(): number;
  /** A usable answer. */
  answered(query: Uint8Array, latencyMs: number): void;
  /** SERVFAIL or REFUSED. */
  refused(query: Uint8Array): void;
  /** Nothing in time, or a network error. */
  silent(query: Uint8Array): void;
  stop(): void;
}

const failuresUntilSick = 3;
const probeEveryMs = 1000;
const firstGuessMs = 100;

export function createHealth(upstream: Upstream, log: Logger): Health {
  let failures = 0;
  let smoothedMs = firstGuessMs;
  const refusedNames = new Set<string>();
  let known: Uint8Array | undefined;
  let probing: NodeJS.Timeout | undefined;
  let stopped = false;

  function answered(query: Uint8Array, latencyMs: number): void {
    known = query;
    failures = 0;
    refusedNames.clear();
    smoothedMs += (latencyMs - smoothedMs) / 8;
    if (probing === undefined) return;
    clearInterval(probing);
    probing = undefined;
    log.info({ upstream: upstream.address }, "DNS upstream answers again");
  }

  function failed(query: Uint8Array, why: string): void {
    known ??= query;
    failures++;
    if (failures < failuresUntilSick || probing !== undefined || stopped) return;
    log.warn({ upstream: upstream.address }, `DNS upstream ${why}; others are asked first`);
    probing = setInterval(probe, probeEveryMs).unref();
  }

  /** Asks again what it has answered before, so that a sick upstream is found well without a client that waits. */
  function probe(): void {
    const question = known;
    if (question === undefined) return;
    const startedAt = performance.now();
    upstream.resolve(question, { whole: false, signal: AbortSignal.timeout(probeEveryMs) }).then(
      (reply) => {
        const code = rcodeOf(reply);
        if (probing !== undefined && (code === rcode.NOERROR || code === rcode.NXDOMAIN))
          answered(question, performance.now() - startedAt);
      },
      () => undefined,
    );
  }

  return {
    good: () => probing === undefined,
    patienceMs: () => Math.min(600, Math.max(150, 3 * smoothedMs)),
    answered,
    refused(query) {
      // A broken zone, asked for again and again, says nothing about the upstream.
      const name = Buffer.from(query.subarray(headerLength, readQuestion(query)?.nameEnd)).toString("latin1");
      if (refusedNames.has(name) || refusedNames.size >= failuresUntilSick) return;
      refusedNames.add(name);
      failed(query, "refuses or fails");
    },
    silent: (query) => failed(query, "does not answer"),
    stop() {
      stopped = true;
      clearInterval(probing);
    },
  };
}
