import type { Family } from "./metrics.ts";

export const dnsUpstreamFamilies: readonly Family[] = [
  {
    kind: "counter",
    name: "egress46_dns_upstream_questions_total",
    help: "Questions to a DNS upstream, tries again and checks of its health apart",
    labels: ["upstream"],
    read: (view) => view.dns().upstreams.map(({ address, questions }) => [{ upstream: address }, questions]),
  },
  {
    kind: "counter",
    name: "egress46_dns_upstream_results_total",
    help: "What became of them: answered, refused (SERVFAIL, REFUSED), silent; none: another answered sooner",
    labels: ["upstream", "result"],
    read: (view) =>
      view
        .dns()
        .upstreams.flatMap(({ address, ...upstream }) =>
          (["answered", "refused", "silent"] as const).map(
            (result) => [{ upstream: address, result }, upstream[result]] as const,
          ),
        ),
  },
  {
    kind: "gauge",
    name: "egress46_dns_upstream_healthy",
    help: "1 while the DNS upstream gives usable answers",
    labels: ["upstream"],
    read: (view) =>
      view.dns().upstreams.map(({ address, healthy }) => [{ upstream: address }, Number(healthy)]),
  },
  {
    kind: "gauge",
    name: "egress46_dns_upstream_latency_seconds",
    help: "How long the latest answers of the DNS upstream took, by quantile",
    labels: ["upstream", "quantile"],
    read: (view) =>
      view
        .dns()
        .upstreams.flatMap(({ address, latencyMs }) =>
          latencyMs === undefined
            ? []
            : [
                [{ upstream: address, quantile: "0.5" }, latencyMs.p50 / 1000] as const,
                [{ upstream: address, quantile: "0.99" }, latencyMs.p99 / 1000] as const,
              ],
        ),
  },
];
