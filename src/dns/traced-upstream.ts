/** An upstream that tells what it is asked and answers, for questions that somebody follows (`egress46 dig`). */
import type { Trace } from "../trace.ts";
import { rcodeName, rcodeOf, readQuestion, typeName } from "./message.ts";
import type { Upstream } from "./upstream.ts";

/** By the question's own bytes, the object that was given to the exchange. */
export type TracedQuestions = WeakMap<Uint8Array, Trace>;

export function tracedUpstream(upstream: Upstream, traces: TracedQuestions): Upstream {
  return {
    ...upstream,
    resolve(query, options) {
      const work = upstream.resolve(query, options);
      const trace = traces.get(query);
      if (trace === undefined) return work;
      const startedAt = performance.now();
      const tell = (outcome: Record<string, string | number>) =>
        trace("upstream", {
          address: upstream.address,
          type: typeName(readQuestion(query)?.type ?? 0),
          ...outcome,
          ms: Math.round((performance.now() - startedAt) * 1000) / 1000,
        });
      work.then(
        (reply) => tell({ rcode: rcodeName(rcodeOf(reply)), answers: answersOf(reply.bytes) }),
        (error: Error) => tell({ failed: error.message }),
      );
      return work;
    },
  };
}

function answersOf(reply: Uint8Array): number {
  return (reply[6]! << 8) | reply[7]!;
}
