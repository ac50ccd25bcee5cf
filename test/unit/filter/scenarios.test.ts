/** The filter's decisions, in the proxy-wasm host; test/e2e/envoy-scenarios.test.ts runs the same list in the real Envoy. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bytesToIpv6, ipv4ToNumber, ipv6ToBytes } from "../../../src/addresses.ts";
import { clusterName } from "../../../src/envoy/clusters.ts";
import type { FeedSettings } from "../../../src/envoy/feed-format.ts";
import { filterHost, install } from "../../support/filter-host.ts";
import {
  deletedMapping,
  endpoint,
  scenarioMappings,
  scenarioPod,
  scenarios,
} from "../../support/filter-scenarios.ts";
import { labAddresses } from "../../support/topology.ts";

const { snatPool, natSubnet } = labAddresses;
export const settings: FeedSettings = {
  active: true,
  dualStack: true,
  internalNets: [scenarioPod.net4, scenarioPod.net6],
  natSubnets: [natSubnet],
  snat: [snatPool.ipv6[0], snatPool.ipv4[0]],
};
const target = "envoy.network.transport_socket.original_dst_address";
const cluster = "envoy.tcp_proxy.cluster";

describe("what becomes of a connection", () => {
  for (const { name, pod = scenarioPod.ipv4, to, expect } of scenarios)
    test(name, async (t) => {
      const host = await filterHost(t, { lookup: async (nat4) => scenarioMappings[nat4] });
      await install(host.feed, { ...scenarioMappings, [deletedMapping[0]]: deletedMapping[1] });
      await host.feed.remove(ipv4ToNumber(deletedMapping[0]));
      host.feed.configure(settings);
      const connection = host.worker().connect(endpoint(pod, 40000), endpoint(to));
      const state = await connection.settled();
      const counter =
        "reason" in expect
          ? `egress46_drops_total.reason.${expect.reason}`
          : `egress46_connections_total.virtual_server.${expect.server}`;
      await host.until("it is counted", () => host.counters()[counter] === 1);
      assert.deepEqual(host.counters(), { [counter]: 1 }, "once, and nothing else");
      if ("reason" in expect) {
        assert.equal(state, "closed");
        assert.ok(host.log.some((line) => line.endsWith(`: ${expect.reason}`)));
        return;
      }
      assert.equal(state, "open");
      assert.equal(connection.filterState.get(cluster), clusterName(expect.snat));
      const told = connection.filterState.get(target);
      const address = told && /^\[(.*)\]:7000$/.exec(told)?.[1];
      assert.equal(address && bytesToIpv6(ipv6ToBytes(address)), expect.host);
    });
});
