/** What the DNS proxy counts. Names of failures are fixed, so that each is a metric from the start. */
import type { UpstreamStats } from "./health.ts";
import { rcodeName, recordType } from "./message.ts";

export const failureReasons = [
  "disabled",
  "source",
  "short",
  "not-a-question",
  "overload",
  "rate",
  "upstream",
  "upstream-mismatch",
  "aaaa",
  "loop",
  "store",
  "exhausted",
  "internal",
] as const;
/**
 * disabled: no configuration; source: from outside the internal networks; short: under 12 bytes; not-a-question: a
 * reply; overload: too many in flight; rate: beyond dnsRateLimit, by socket; upstream: none answered; upstream-mismatch: a message that answers no question
 * of ours; aaaa: no A, and AAAA failed; loop: our own question came back; store: no mapping could be had; exhausted:
 * the DNS46 pool is full; internal: a bug.
 */
export type FailureReason = (typeof failureReasons)[number];

/**
 * Where a reply comes from. upstream: asked for it; cache, stale: remembered, the latter beyond its TTL; synthesized:
 * made by DNS46; local: an error or denial of our own. Open: a part that answers in another way says so itself.
 */
export type ReplySource = "upstream" | "cache" | "stale" | "synthesized" | "local" | (string & {});

export interface DnsStats {
  /** Messages that were taken for questions, answered or not. */
  readonly questions: number;
  /** The same by type (others than the common ones as `other`) and transport. */
  readonly requests: readonly { readonly type: string; readonly proto: string; readonly count: number }[];
  /** By RCODE name. */
  readonly responses: Readonly<Record<string, number>>;
  readonly responsesBySource: readonly {
    readonly rcode: string;
    readonly source: ReplySource;
    readonly count: number;
  }[];
  /** From a question's arrival to its answer, in seconds. */
  readonly duration: Durations;
  /** Replies with a DNS46 address, the sorry IP not counted. */
  readonly synthesized: number;
  readonly failures: Readonly<Record<FailureReason, number>>;
  readonly upstreams: readonly UpstreamStats[];
}

export interface Durations {
  /** How many took at most so many seconds, `bounds` ascending; those that took longer are in `count` only. */
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

export interface DnsCounts {
  asked(type: number, proto: "udp" | "tcp"): void;
  answered(rcode: number, source: ReplySource, ms: number): void;
  synthesized(): void;
  failed(reason: FailureReason): undefined;
  snapshot(): Omit<DnsStats, "upstreams">;
}

const typeLabels = ["A", "AAAA", "PTR", "SRV", "TXT", "MX", "HTTPS"] as const;
const labelOf = new Map<number, string>(typeLabels.map((name) => [recordType[name], name]));
const protos = ["udp", "tcp"] as const;
const bounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** RCODEs beyond these (IANA's registry) are one label: an upstream can't make any number of them. */
const lastRcode = 23;

export function createDnsCounts(): DnsCounts {
  const failures = Object.fromEntries(failureReasons.map((reason) => [reason, 0])) as Record<
    FailureReason,
    number
  >;
  const requests = new Map([...typeLabels, "other"].map((type) => [type, { udp: 0, tcp: 0 }]));
  const responses = new Map<ReplySource, Map<number, number>>();
  /** The first bound that a duration is within; the last place is for those beyond all of them. */
  const within = new Array<number>(bounds.length + 1).fill(0);
  let questions = 0;
  let synthesized = 0;
  let seconds = 0;

  return {
    asked(type, proto) {
      questions++;
      requests.get(labelOf.get(type) ?? "other")![proto]++;
    },
    answered(rcode, source, ms) {
      const byRcode = responses.get(source) ?? new Map<number, number>();
      responses.set(source, byRcode);
      const code = Math.min(rcode, lastRcode + 1);
      byRcode.set(code, (byRcode.get(code) ?? 0) + 1);
      let place = 0;
      while (place < bounds.length && ms > bounds[place]! * 1000) place++;
      within[place]!++;
      seconds += ms / 1000;
    },
    synthesized() {
      synthesized++;
    },
    failed(reason) {
      failures[reason]++;
    },
    snapshot() {
      const responsesBySource = [...responses].flatMap(([source, byRcode]) =>
        [...byRcode].map(([code, count]) => ({
          rcode: code > lastRcode ? "other" : rcodeName(code),
          source,
          count,
        })),
      );
      const byName: Record<string, number> = {};
      for (const { rcode, count } of responsesBySource) byName[rcode] = (byName[rcode] ?? 0) + count;
      let sum = 0;
      const cumulated = within.map((count) => {
        sum += count;
        return sum;
      });
      return {
        questions,
        requests: [...requests].flatMap(([type, counts]) =>
          protos.map((proto) => ({ type, proto, count: counts[proto] })),
        ),
        responses: byName,
        responsesBySource,
        duration: { bounds, counts: cumulated.slice(0, -1), sum: seconds, count: sum },
        synthesized,
        failures: { ...failures },
      };
    },
  };
}
