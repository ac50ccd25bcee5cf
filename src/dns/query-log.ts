/** The query log: a line a question. */
import { bytesToIpv6 } from "../addresses.ts";
import type { Logger } from "../log.ts";
import type { Answered, Asking } from "./answered.ts";
import { classIn, headerLength, rcodeName, readQuestion, typeName } from "./message.ts";
import { nameToText } from "./name.ts";
import type { QueryLogMode } from "./policy.ts";

/** Writing a line takes the main thread some 10 µs. */
const linesPerSecond = 1000;

export type QueryLog = (
  query: Uint8Array,
  asking: Asking,
  answered: Answered | undefined,
  ms: number,
) => void;

/** At most a thousand lines a second, then how many were left out: a flood of questions must not become one of writes. */
export function createQueryLog(
  mode: QueryLogMode,
  log: Logger,
  perSecond = linesPerSecond,
): QueryLog | undefined {
  if (mode === "off") return undefined;
  let secondEnds = 0;
  let lines = 0;
  let leftOut = 0;
  return (query, asking, answered, ms) => {
    if (mode === "dns46" && answered?.made === undefined) return;
    const now = performance.now();
    if (now >= secondEnds) {
      if (leftOut > 0) log.warn({ leftOut }, "DNS questions that are not in the log: too many a second");
      secondEnds = now + 1000;
      lines = leftOut = 0;
    }
    if (++lines > perSecond) {
      leftOut++;
      return;
    }
    log.info({ dns: describe(query, asking, answered, ms) }, "DNS question");
  };
}

function describe(
  query: Uint8Array,
  { client, transport }: Asking,
  answered: Answered | undefined,
  ms: number,
) {
  const question = readQuestion(query);
  return {
    client: client(),
    ...(question && {
      name: nameToText(query.subarray(headerLength, question.nameEnd)),
      type: typeName(question.type),
      ...(question.class !== classIn && { class: question.class }),
    }),
    proto: transport,
    ...(answered && { rcode: rcodeName(answered.rcode), source: answered.source }),
    ms: Math.round(ms * 1000) / 1000,
    ...(answered?.made && {
      made: answered.made.map(({ nat4, host }) => ({ nat4, host6: host && bytesToIpv6(host.address) })),
    }),
  };
}
