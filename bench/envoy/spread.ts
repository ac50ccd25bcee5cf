/** How evenly the filter spreads 10,000 Pods over 256 SNAT addresses, by how the Pods' addresses lie. */
import { numberToIpv4 } from "../../src/addresses.ts";
import { clusterName } from "../../src/envoy/clusters.ts";
import { filterHost } from "../../test/support/filter-host.ts";
import { consecutive, deviation, irregularPatterns, regularPatterns } from "../../test/support/pairing.ts";
import type { Context } from "../part.ts";
import { addSample } from "../results.ts";

const pods = 10_000;
const patterns = [...regularPatterns, ...irregularPatterns].filter(({ family }) => family === 4);
const remote = `${numberToIpv4(0xc0000250)}:80`;

export async function spread({ results, say }: Context): Promise<void> {
  const closers: (() => unknown)[] = [];
  try {
    const host = await filterHost({ after: (close) => closers.push(close as () => unknown) });
    const pool = consecutive("198.51.100.0", 256);
    const clusters = pool.map(clusterName);
    host.feed.configure({
      active: true,
      dualStack: false,
      internalNets: ["10.0.0.0/8"],
      natSubnets: [],
      snat: pool,
    });
    const { connect } = host.worker();
    await connect("10.0.0.1:4000", remote).settled();
    const head = { id: "envoy.spread", title: "10,000 Pods on 256 SNAT addresses", unit: "% SD" };
    for (const { name, pod } of patterns) {
      const chosen = Array.from({ length: pods }, (_, n) => {
        const connection = connect(`${pod(n)}:4000`, remote);
        const cluster = connection.filterState.get("envoy.tcp_proxy.cluster") ?? "none";
        connection.close();
        return clusters.indexOf(cluster);
      });
      if (chosen.includes(-1)) results.errors.push(`envoy: ${name}: a Pod without a SNAT address`);
      const { standard, farthest } = deviation(pool, pool, chosen);
      addSample(results, head, name, standard * 100);
      say(`  ${name}: ${(standard * 100).toFixed(1)} %, farthest ${(farthest * 100).toFixed(0)} %`);
    }
  } finally {
    for (const close of closers) await close();
  }
}
