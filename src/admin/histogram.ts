import type { Metric, Registry } from "prom-client";
import type { Durations } from "../dns/stats.ts";

/** A histogram that is counted elsewhere and read at each scrape; prom-client's own only counts what it is told. */
export function registerHistogram(
  registry: Registry,
  name: string,
  help: string,
  read: () => Durations,
): void {
  const metric = {
    name,
    async get() {
      const { bounds, counts, sum, count } = read();
      const bucket = (le: number | string, value: number) => ({
        metricName: `${name}_bucket`,
        labels: { le },
        value,
      });
      const values = [
        ...bounds.map((bound, index) => bucket(bound, counts[index] ?? 0)),
        bucket("+Inf", count),
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: count },
      ];
      return { name, help, type: "histogram", values, aggregator: "sum" };
    },
  };
  registry.registerMetric(metric as unknown as Metric);
}
