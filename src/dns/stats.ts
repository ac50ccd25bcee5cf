import type { UpstreamStats } from "./health.ts";

/** What the DNS proxy counts. Names of failures are fixed, so that each is a metric from the start. */
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

export interface DnsStats {
  /** Messages that were taken for questions, answered or not. */
  readonly questions: number;
  /** By RCODE name. */
  readonly responses: Readonly<Record<string, number>>;
  /** Replies with a DNS46 address, the sorry IP not counted. */
  readonly synthesized: number;
  readonly failures: Readonly<Record<FailureReason, number>>;
  readonly upstreams: readonly UpstreamStats[];
}
