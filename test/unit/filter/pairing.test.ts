/** Paired pooling (RFC 4787 REQ-2): a Pod has the same SNAT address in the packet engine, and in every worker of Envoy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterName } from "../../../src/envoy/clusters.ts";
import { decode } from "../../support/decode.ts";
import { far4, far6, poolEntry, startLab } from "../../support/engine.ts";
import { filterHost } from "../../support/filter-host.ts";
import { endpoint } from "../../support/filter-scenarios.ts";
import { flow44, flow66, fromPod } from "../../support/flows.ts";
import { SYN } from "../../support/packets.ts";
import { consecutive } from "../../support/pairing.ts";

const cases = [
  ...[1, 2, 3, 16, 255, 256].map((size) => ({ family: 4, size })),
  ...[3, 256].map((size) => ({ family: 6, size })),
];

for (const { family, size } of cases)
  test(`IPv${family}, ${size} addresses`, async (t) => {
    const four = family === 4;
    const flow = four ? flow44 : flow66;
    const pods = consecutive(four ? "10.1.0.2" : "fd00:1:0:0::2", 1500);
    const pool = consecutive(four ? "198.51.100.0" : "2001:db8:5:0::1", size);
    const engine = await startLab({ sizes: { maxSessions: 1 << 14, maxMappings: 64 } });
    engine.configure({ pool: pool.map((address) => poolEntry(address)) });
    const { outputs } = engine.push(
      pods.map((pod) => fromPod({ ...flow, pod }, "tcp", 4000, { tcpFlags: SYN })),
    );
    const paired = new Map(outputs.map((packet, index) => [pods[index]!, decode(packet).source]));
    assert.equal(paired.size, pods.length);

    const host = await filterHost(t);
    host.feed.configure({
      active: true,
      dualStack: true,
      internalNets: ["10.1.0.0/16", "fd00:1::/64"],
      natSubnets: [],
      // Another order, and one of them twice.
      snat: [...pool.toReversed(), pool[0]!],
    });
    for (const worker of [host.worker(0), host.worker(1)])
      for (const pod of pods) {
        const connection = worker.connect(endpoint(pod, 4000), endpoint(four ? far4 : far6, 80));
        await connection.settled();
        assert.equal(
          connection.filterState.get("envoy.tcp_proxy.cluster"),
          clusterName(paired.get(pod)!),
          pod,
        );
        connection.close();
      }
  });
