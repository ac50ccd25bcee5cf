/** An upstream that tells what it is asked and answers, for questions that somebody follows (`egress46 dig`). */
import type { Trace, TraceDetail } from "../trace.ts";
import { rcodeName, rcodeOf, typeName, u16 } from "./message.ts";
import type { Upstream } from "./upstream.ts";

/** By the question's own bytes, the object that was given to the exchange. */
export type TracedQuestions = WeakMap<Uint8Array, Trace>;

const answerCount = 6;

export function tracedUpstream(upstream: Upstream, traces: TracedQuestions): Upstream {
  return {
    ...upstream,
    ask(asked, whole, sink) {
      const trace = traces.get(asked.bytes);
      if (trace === undefined) return upstream.ask(asked, whole, sink);
      const startedAt = performance.now();
      const type = typeName(asked.question.type);
      const tell = (outcome: TraceDetail) => {
        const ms = Math.round((performance.now() - startedAt) * 1000) / 1000;
        trace("upstream", { address: upstream.address, type, ...outcome, ms });
      };
      return upstream.ask(asked, whole, {
        answered(reply) {
          tell({ rcode: rcodeName(rcodeOf(reply)), answers: u16(reply.bytes, answerCount) });
          sink.answered(reply);
        },
        failed(error) {
          tell({ failed: error.message });
          sink.failed(error);
        },
      });
    },
  };
}
