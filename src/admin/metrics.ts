import { Counter, Gauge, Registry } from "prom-client";
import { natProtocols } from "../engine/behaviour.ts";
import { version } from "../version.ts";
import { dnsCacheFamilies } from "./dns-cache-metrics.ts";
import { dnsUpstreamFamilies } from "./dns-upstream-metrics.ts";
import { registerHistogram } from "./histogram.ts";
import type { GatewayView } from "./view.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

export interface Family {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  read(view: GatewayView): readonly Sample[];
}

const families: readonly Family[] = [
  {
    kind: "counter",
    name: "egress46_drops_total",
    help: "Packets dropped, by reason (docs/drops.md)",
    labels: ["reason"],
    read: (view) => view.drops().map(({ reason, count }) => [{ reason }, count]),
  },
  {
    kind: "counter",
    name: "egress46_connections_total",
    help: "TCP connections, UDP flows and pings, or DNS questions, by virtual server",
    labels: ["virtual_server"],
    read: (view) =>
      view.virtualServers().map((server) => [{ virtual_server: server.name }, server.totalConnections]),
  },
  {
    kind: "gauge",
    name: "egress46_connections",
    help: "Connections that exist now, by virtual server",
    labels: ["virtual_server"],
    read: (view) =>
      view.virtualServers().map((server) => [{ virtual_server: server.name }, server.currentConnections]),
  },
  {
    kind: "counter",
    name: "egress46_packets_total",
    help: "Packets, by direction",
    labels: ["direction"],
    read: (view) => view.packets().map(({ direction, packets }) => [{ direction }, packets]),
  },
  {
    kind: "counter",
    name: "egress46_bytes_total",
    help: "Bytes of those packets, IP header included, by direction",
    labels: ["direction"],
    read: (view) => view.packets().map(({ direction, bytes }) => [{ direction }, bytes]),
  },
  gauge("egress46_sessions", "Sessions that exist now", (view) => view.sessions()),
  gauge("egress46_sessions_max", "Sessions that can exist at once (--max-sessions, all workers)", (view) =>
    view.maxSessions(),
  ),
  {
    kind: "gauge",
    name: "egress46_snat_ports",
    help: "Ports that a SNAT address has, of each protocol",
    labels: ["address"],
    read: (view) => view.snatPool().map(({ address, ports }) => [{ address }, ports]),
  },
  {
    kind: "gauge",
    name: "egress46_snat_in_use",
    help: "Ports or identifiers of a SNAT address that are taken, or sessions, which share ports: `counts` tells which",
    labels: ["address", "protocol", "counts"],
    read: (view) =>
      view.snatPool().flatMap(({ address, ...use }) =>
        natProtocols.map((protocol) => {
          const { counts, inUse } = use[protocol];
          return [{ address, protocol, counts }, inUse] as const;
        }),
      ),
  },
  snat("allocations_total", "How many of what egress46_snat_in_use counts there ever were", "allocated"),
  snat("exhausted_total", "Sessions refused because no port of the SNAT address was free", "exhausted"),
  gauge("egress46_mappings", "Mappings known to the data plane", (view) => view.mappings().known),
  gauge(
    "egress46_mappings_malformed",
    "Store entries that are not a mapping",
    (view) => view.mappings().malformed,
  ),
  counter(
    "egress46_mapping_conflicts_total",
    "Addresses in use that became another host's in the mapping store (EG46_MAPPING_CONFLICT)",
    (view) => view.mappings().conflicts,
  ),
  gauge(
    "egress46_dns46_pool_size",
    "NAT addresses that DNS46 may hand out",
    (view) => view.mappings().poolSize,
  ),
  gauge(
    "egress46_dns46_pool_used",
    "NAT addresses of the pool that are taken",
    (view) => view.mappings().poolUsed,
  ),
  gauge(
    "egress46_dns46_pool_growth",
    "Addresses of the pool taken in an hour (negative: given back), by the last hour; 0 in the first minutes",
    (view) => view.mappings().poolGrowth ?? 0,
  ),
  gauge(
    "egress46_dns46_pool_exhausted_seconds",
    "When the pool is exhausted if it grows as in the last hour, seconds from now",
    (view) => view.mappings().poolExhaustedInS ?? Number.POSITIVE_INFINITY,
  ),
  gauge("egress46_store_connected", "1 while the mapping store answers", (view) =>
    Number(view.mappings().storeConnected),
  ),
  gauge("egress46_store_writable", "1 while the mapping store takes new mappings", (view) =>
    Number(view.mappings().storeProblem === undefined),
  ),
  {
    kind: "counter",
    name: "egress46_dns_requests_total",
    help: "DNS questions from Pods, by type (the common ones) and transport",
    labels: ["type", "proto"],
    read: (view) => view.dns().requests.map(({ type, proto, count }) => [{ type, proto }, count]),
  },
  {
    kind: "counter",
    name: "egress46_dns_responses_total",
    help: "DNS answers to Pods, by response code and where they come from: upstream, cache, stale, synthesized, local",
    labels: ["rcode", "source"],
    read: (view) =>
      view.dns().responsesBySource.map(({ rcode, source, count }) => [{ rcode, source }, count]),
  },
  counter(
    "egress46_dns_synthesized_total",
    "DNS answers with an A record made from an AAAA record",
    (view) => view.dns().synthesized,
  ),
  {
    kind: "counter",
    name: "egress46_dns_failures_total",
    help: "DNS questions that could not be answered as asked, by reason",
    labels: ["reason"],
    read: (view) => Object.entries(view.dns().failures).map(([reason, value]) => [{ reason }, value]),
  },
  ...dnsCacheFamilies,
  ...dnsUpstreamFamilies,
  gauge("egress46_start_time_seconds", "When the gateway started, Unix time", (view) =>
    Math.floor(Date.parse(view.status().startedAt) / 1000),
  ),
  {
    kind: "gauge",
    name: "egress46_build_info",
    help: "Always 1; the labels tell what runs",
    labels: ["version", "node"],
    read: () => [[{ version, node: process.version }, 1]],
  },
];

function snat(name: string, help: string, field: "allocated" | "exhausted"): Family {
  return {
    kind: "counter",
    help,
    name: `egress46_snat_${name}`,
    labels: ["address", "protocol"],
    read: (view) =>
      view
        .snatPool()
        .flatMap(({ address, ...use }) =>
          natProtocols.map((protocol) => [{ address, protocol }, use[protocol][field]] as const),
        ),
  };
}

function gauge(name: string, help: string, read: (view: GatewayView) => number): Family {
  return { kind: "gauge", name, help, read: (view) => [[{}, read(view)]] };
}

function counter(name: string, help: string, read: (view: GatewayView) => number): Family {
  return { kind: "counter", name, help, read: (view) => [[{}, read(view)]] };
}

/** A registry of its own whose metrics read the view at each scrape: nothing is counted twice or kept in step. */
export function createMetrics(view: GatewayView): Registry {
  const registry = new Registry();
  registerHistogram(
    registry,
    "egress46_dns_request_duration_seconds",
    "From a DNS question's arrival to its answer, those that a worker's cache answers left out",
    () => view.dns().duration,
  );
  for (const { kind, name, help, labels = [], read } of families) {
    const common = { name, help, labelNames: [...labels], registers: [registry] };
    if (kind === "gauge")
      new Gauge({
        ...common,
        collect() {
          this.reset();
          for (const [label, value] of read(view)) this.set(label, value);
        },
      });
    else
      new Counter({
        ...common,
        collect() {
          this.reset();
          for (const [label, value] of read(view)) this.inc(label, value);
        },
      });
  }
  return registry;
}
