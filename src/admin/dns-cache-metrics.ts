import type { Family } from "./metrics.ts";

const families = {
  misses: ["counter", "misses_total", "DNS questions that the cache had no fresh answer to"],
  entries: ["gauge", "entries", "DNS answers in the cache, expired ones among them"],
  evictions: ["counter", "evictions_total", "DNS answers that made room for others before they expired"],
  refreshes: ["counter", "prefetches_total", "DNS questions asked anew before their answer expired"],
  stale: ["counter", "stale_total", "Expired DNS answers given because no upstream answered (RFC 8767)"],
} as const;
const caches = ["worker", "gateway"] as const;

export const dnsCacheFamilies: readonly Family[] = [
  {
    kind: "counter",
    name: "egress46_dns_cache_hits_total",
    help: "DNS questions answered from a cache, the workers' or the gateway's own, by type",
    labels: ["cache", "type"],
    read(view) {
      const counts = view.dnsCache();
      return caches.flatMap((cache) =>
        Object.entries(counts[cache].types).map(([type, count]) => [{ cache, type }, count] as const),
      );
    },
  },
  ...(Object.keys(families) as (keyof typeof families)[]).map((field): Family => {
    const [kind, name, help] = families[field];
    return {
      ...{ kind, help, name: `egress46_dns_cache_${name}`, labels: ["cache"] },
      read(view) {
        const counts = view.dnsCache();
        return caches.map((cache) => [{ cache }, counts[cache][field]]);
      },
    };
  }),
];
