/** Paired pooling (RFC 4787 REQ-2): a Pod has the same SNAT address in the packet engine, and in every worker of Envoy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterName } from "../../../src/envoy/clusters.ts";
import { decode } from "../../support/decode.ts";
import { far4, poolEntry, startLab } from "../../support/engine.ts";
import { filterHost } from "../../support/filter-host.ts";
import { endpoint } from "../../support/filter-scenarios.ts";
import { flow44, fromPod } from "../../support/flows.ts";
import { SYN } from "../../support/packets.ts";

const pods = Array.from({ length: 2000 }, (_, n) => `10.1.${n >> 8}.${n & 255}`).slice(2);

for (const size of [1, 2, 3, 16, 256])
  test(`${size} addresses`, async (t) => {
    const pool = Array.from({ length: size }, (_, n) => `198.51.${n >> 8}.${n & 255}`);
    const engine = await startLab({ sizes: { maxSessions: 1 << 14, maxMappings: 64 } });
    engine.configure({ pool: pool.map((address) => poolEntry(address)) });
    const { outputs } = engine.push(
      pods.map((pod) => fromPod({ ...flow44, pod }, "tcp", 4000, { tcpFlags: SYN })),
    );
    const paired = new Map(outputs.map((packet, index) => [pods[index]!, decode(packet).source]));
    assert.equal(paired.size, pods.length);

    const host = await filterHost(t);
    host.feed.configure({
      active: true,
      dualStack: false,
      internalNets: ["10.1.0.0/16"],
      natSubnets: [],
      snat: pool.toReversed(),
    });
    for (const worker of [host.worker(0), host.worker(1)])
      for (const pod of pods) {
        const connection = worker.connect(endpoint(pod, 4000), endpoint(far4, 80));
        await connection.settled();
        assert.equal(
          connection.filterState.get("envoy.tcp_proxy.cluster"),
          clusterName(paired.get(pod)!),
          pod,
        );
        connection.close();
      }
  });
