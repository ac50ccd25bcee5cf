/**
 * Questions to the upstreams, each asked once at a time: who asks the same meanwhile shares the answer (RFC 5452 §5:
 * duplicates in flight help a forger). What failed a moment ago is not asked again. The place for a cache.
 */
import { Eg46Error, hasCode } from "../errors.ts";
import { type Asked, readAsked } from "./asked.ts";
import { createFailureCache, type Failure } from "./failure-cache.ts";
import { createInFlightTable } from "./in-flight.ts";
import { type Message, rcode, rcodeName, rcodeOf, scanMessage } from "./message.ts";
import type { Trace } from "./race.ts";
import { errorReply } from "./reply.ts";
import type { Resolver } from "./resolver.ts";

export interface Exchange {
  /** Keeps `query`. The ID and letter case are free; everything else is part of the question. */
  ask(query: Uint8Array, whole: boolean, trace?: Trace): Promise<Message>;
  /**
   * True when this question, come in from a client, is our own on its way to an upstream whose address leads back to
   * us. Once in 65536 a client's ID is ours by chance, so the first time it only shares the answer like anybody.
   */
  isEcho(query: Uint8Array): boolean;
}

const maxInFlight = 8192;
/** RFC 8914 §4.14. */
const cachedError = 13;

export function createExchange(
  resolver: Pick<Resolver, "resolve" | "sent" | "generation">,
  clock: () => number = () => performance.now(),
): Exchange {
  const inFlight = createInFlightTable();
  const failures = createFailureCache();
  let generation = resolver.generation();

  function upToDate(): void {
    if (resolver.generation() === generation) return;
    generation = resolver.generation();
    failures.clear();
  }

  /** `since`: the generation that was asked. */
  function learn(asked: Asked, code: number | undefined, since: number): void {
    if (since !== resolver.generation()) return;
    if (code === undefined || code === rcode.SERVFAIL || code === rcode.REFUSED)
      failures.remember(asked, code, clock());
    else failures.forget(asked);
  }

  return {
    ask(query, whole, trace) {
      upToDate();
      const shared = inFlight.find(query, whole, generation);
      if (shared !== undefined) return shared.reply;
      const asked = readAsked(query);
      if (asked === undefined) return Promise.reject(new TypeError("not a DNS question"));
      const failure = failures.recall(asked, clock());
      if (failure !== undefined) return Promise.resolve().then(() => repeat(asked, failure, clock()));
      if (inFlight.size >= maxInFlight)
        return Promise.reject(new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", "too many DNS questions in flight"));
      const reply = resolver.resolve(query, whole, trace);
      const since = generation;
      inFlight.add(query, whole, since, reply);
      reply.then(
        (message) => learn(asked, rcodeOf(message), since),
        (error) => hasCode(error, "EG46_UPSTREAM_UNAVAILABLE") && learn(asked, undefined, since),
      );
      return reply;
    },
    isEcho(query) {
      if (!resolver.sent(query)) return false;
      const own = inFlight.find(query, false, generation) ?? inFlight.find(query, true, generation);
      return own !== undefined && ++own.echoes > 1;
    },
  };
}

/** What the failure before was, without asking. Throws EG46_UPSTREAM_UNAVAILABLE where there was no answer. */
function repeat({ bytes }: Asked, { code, until }: Failure, now: number): Message {
  const wait = `asked again in ${Math.ceil((until - now) / 1000)} s`;
  if (code === undefined)
    throw new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", `no DNS upstream answered this question; ${wait}`);
  const text = `the DNS upstreams said ${rcodeName(code)}; ${wait}`;
  return { ...scanMessage(errorReply(bytes, code, { code: cachedError, text }))!, source: "local" };
}
