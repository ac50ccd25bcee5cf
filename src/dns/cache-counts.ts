/** What caches of DNS answers count: the engines' and the gateway's own (assembly/core/dns-counters.ts). */

import { dnsCacheCountersOffsets as offsets } from "../engine/layout.gen.ts";
import type { EngineMemory } from "../engine/memory.ts";
import { rcodeName } from "./message.ts";
import type { DnsStats } from "./stats.ts";

/** In the order of the module's counters. */
const hitTypes = ["A", "AAAA", "PTR", "SRV", "TXT", "MX", "HTTPS", "other"] as const;
export type HitType = (typeof hitTypes)[number];
const rcodes = 16;

type Field = Exclude<keyof typeof offsets, "sizeof">;
const fields = Object.keys(offsets).filter((name): name is Field => name !== "sizeof");

/** The fields are explained in assembly/core/dns-counters.ts; `types` and `responses` are of hits. */
export interface DnsCacheCounts extends Readonly<Record<Field, number>> {
  readonly types: Readonly<Record<HitType, number>>;
  /** By RCODE name; those that never happened are left out. */
  readonly responses: Readonly<Record<string, number>>;
}

/** The addresses are those of the record and of the two arrays. */
export function readDnsCounts(
  buffer: ArrayBufferLike,
  record: number,
  types: number,
  responses: number,
): DnsCacheCounts {
  const read = (address: number, count: number) =>
    Array.from(new BigUint64Array(buffer, address, count), Number);
  const byField = fields.map((field) => [field, read(record + offsets[field], 1)[0]!] as const);
  const byType = read(types, hitTypes.length).map((count, index) => [hitTypes[index]!, count] as const);
  const byCode = read(responses, rcodes).map((count, code) => [rcodeName(code), count] as const);
  return {
    ...(Object.fromEntries(byField) as Record<Field, number>),
    types: Object.fromEntries(byType) as Record<HitType, number>,
    responses: Object.fromEntries(byCode.filter(([, count]) => count > 0)),
  };
}

/** Sum over the engines, read while they run. */
export function readEngineDnsCounts(memories: readonly EngineMemory[]): DnsCacheCounts {
  const all = memories.map(({ buffer, layout }) =>
    readDnsCounts(buffer, layout.dnsCounters, layout.dnsTypeCounters, layout.dnsRcodeCounters),
  );
  const sum = (pick: (counts: DnsCacheCounts) => number) => all.reduce((total, one) => total + pick(one), 0);
  return {
    ...(Object.fromEntries(fields.map((field) => [field, sum((one) => one[field])])) as Record<
      Field,
      number
    >),
    types: Object.fromEntries(hitTypes.map((type) => [type, sum((one) => one.types[type])])) as Record<
      HitType,
      number
    >,
    responses: all.reduce((total, one) => addResponses(total, one.responses), {}),
  };
}

function addResponses(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

/** Questions as packets are UDP. */
function hitsOf({ types }: DnsCacheCounts, { type, proto }: DnsStats["requests"][number]): number {
  return proto === "udp" ? (types[type as HitType] ?? 0) : 0;
}

function addCached(
  replies: DnsStats["responsesBySource"],
  hits: Readonly<Record<string, number>>,
): DnsStats["responsesBySource"] {
  const own = Object.fromEntries(
    replies.filter(({ source }) => source === "cache").map(({ rcode, count }) => [rcode, count]),
  );
  const cached = Object.entries(addResponses(own, hits)).map(([rcode, count]) => ({
    ...{ rcode, count, source: "cache" },
  }));
  return [...replies.filter(({ source }) => source !== "cache"), ...cached];
}

/** What the proxy counted, and what it never saw because an engine had the answer. */
export function withHits(stats: DnsStats, engines: DnsCacheCounts, gateway: DnsCacheCounts): DnsStats {
  return {
    ...stats,
    questions: stats.questions + engines.hits,
    requests: stats.requests.map((each) => ({ ...each, count: each.count + hitsOf(engines, each) })),
    responses: addResponses(stats.responses, engines.responses),
    responsesBySource: addCached(stats.responsesBySource, engines.responses),
    synthesized: stats.synthesized + engines.synthesized + gateway.synthesized,
  };
}
