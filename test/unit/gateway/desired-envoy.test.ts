/** From the configuration in force to what netd and the filters are told, with Envoy as the data plane. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EgressConfig } from "../../../src/config/resolve.ts";
import { createDraining } from "../../../src/envoy/draining.ts";
import { desireForEnvoy } from "../../../src/gateway/desired-envoy.ts";

const facts = {
  internalNets: ["10.1.0.0/16"],
  external: [{ name: "out0", mtu: 1500, addresses: ["192.0.2.1/24", "2001:db8::1/64"] }],
  defaultSources: ["192.0.2.1"],
};
const egress: EgressConfig = {
  name: "egress-crd",
  namespace: "spk-ingress",
  dualStack: true,
  snat: { kind: "pool", name: "p", lists: [["2001:db8::9"], ["2001:db8::a", "192.0.2.9"]], shared: false },
  dns: { subnet: "10.244.50.0/24", upstreams: ["192.0.2.53"], maxTtl: 300, reservedStatic: 0, rateLimit: 0 },
  automapAddresses: [],
  debugLog: false,
};
const pool = ["2001:db8::9", "2001:db8::a", "192.0.2.9"];
const desire = (config: EgressConfig | undefined, draining = createDraining()) =>
  desireForEnvoy(config, facts, draining);

describe("desireForEnvoy", () => {
  test("lists of a pool are one pool", () => {
    const { plan, feed } = desire(egress);
    assert.deepEqual(plan.envoy, { sources: pool, dns: true });
    assert.deepEqual(
      plan.snatPool.map(({ address }) => address),
      pool,
    );
    assert.deepEqual(feed?.snat, pool);
  });

  test("automap: the host's own addresses, which stay as they are", () => {
    const { plan, feed } = desire({ ...egress, snat: { kind: "automap" } });
    assert.deepEqual(feed?.snat, ["192.0.2.1", "2001:db8::1"]);
    assert.deepEqual(plan.snatPool, []);
  });

  test("nothing is configured: nothing leaves", () => {
    const { plan, feed } = desire(undefined);
    assert.equal(plan.envoy, undefined);
    assert.equal(feed?.active, false);
  });

  test("snatType SRC_TRANS_NONE: no address, and the operator is told", () => {
    const { feed, warnings } = desire({ ...egress, snat: { kind: "none" } });
    assert.deepEqual(feed?.snat, []);
    assert.match(warnings.join(), /SRC_TRANS_NONE/);
  });

  test("an address that left the pool stays local for ten minutes, but no Pod gets it", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    let now = 0;
    let ended = 0;
    const draining = createDraining(
      () => void ended++,
      () => now,
    );
    desire(egress, draining);
    const smaller = {
      ...egress,
      snat: { kind: "pool", name: "p", lists: [["2001:db8::9"]], shared: false },
    } as const;
    const drains = desire(smaller, draining);
    assert.deepEqual(drains.feed?.snat, ["2001:db8::9"]);
    assert.deepEqual(drains.plan.envoy?.sources, pool);
    t.mock.timers.tick(9 * 60_000);
    assert.equal(ended, 0);
    now = 11 * 60_000;
    t.mock.timers.tick(2 * 60_000);
    assert.equal(ended, 1, "the plan is made anew without waiting for a change");
    assert.deepEqual(desire(smaller, draining).plan.envoy?.sources, ["2001:db8::9"]);
    assert.deepEqual(desire(egress, draining).plan.envoy?.sources, pool);
  });
});
