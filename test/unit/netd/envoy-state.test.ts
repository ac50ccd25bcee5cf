/** The host's network with Envoy as the data plane: pure, from host and plan to rules, routes and sysctls. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type EnvoyOptions, envoyDefaults } from "../../../src/envoy/options.ts";
import { divertsToEnvoy } from "../../../src/netd/envoy-rules.ts";
import type { Host } from "../../../src/netd/host.ts";
import { parseRoute } from "../../../src/netd/kernel-state.ts";
import { checkPlan } from "../../../src/netd/plan-check.ts";
import type { NetworkPlan } from "../../../src/netd/protocol.ts";
import { desiredState } from "../../../src/netd/state.ts";

const envoy: EnvoyOptions = { ...envoyDefaults, dir: "/run/envoy" };
const host: Host = {
  internal: ["in0"],
  external: ["out0"],
  internalNets: ["10.1.0.0/16", "fd00:1::/64"],
  tuns: [],
  connected: [],
  ipv6: true,
  envoy,
};
const closed: NetworkPlan = { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
const open: NetworkPlan = {
  ...closed,
  natSubnets: ["10.244.50.0/24"],
  snatPool: ["2001:db8::9", "192.0.2.9"].map((address) => ({ address, worker: 0 })),
  envoy: { sources: ["2001:db8::9", "192.0.2.9"], dns: true },
};
const rulesOf = (change: Partial<Host>, plan: NetworkPlan) => desiredState({ ...host, ...change }, plan).nft;

describe("rules", () => {
  test("without a plan nothing is diverted, and nothing leaves", () => {
    const nft = rulesOf({}, closed);
    assert.equal(divertsToEnvoy(nft), false);
    assert.match(nft, /iifname \{ "in0" \} oifname \{ "out0" \} counter name guard drop/);
  });

  test("with one: DNS, NAT subnet, then what is neither among Pods nor for the host", () => {
    const nft = rulesOf({}, open);
    assert.ok(divertsToEnvoy(nft));
    const order = [
      /th dport 53 redirect to :15053/,
      /ip daddr \{ 10\.244\.50\.0\/24 \} meta l4proto tcp redirect to :15001/,
      /ip daddr \{ 10\.1\.0\.0\/16 \} accept/,
      /fib daddr type local accept/,
      /"in0" \} meta l4proto tcp redirect to :15001/,
    ].map((rule) => nft.search(rule));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.ok(
      order.every((at) => at >= 0),
      `${order}`,
    );
    assert.match(nft, /counter name guard drop/);
  });

  test("DNS stays as it is while DNS46 is off", () =>
    assert.doesNotMatch(rulesOf({}, { ...open, envoy: { sources: [], dns: false } }), /dport 53 /));

  test("an interface that is external too: Pods by their source", () => {
    const nft = rulesOf({ internal: ["out0"] }, open);
    assert.match(
      nft,
      /iifname \{ "out0" \} ip saddr \{ 10\.1\.0\.0\/16 \} meta l4proto tcp redirect to :15001/,
    );
    assert.doesNotMatch(nft, /iifname \{ "out0" \} meta l4proto tcp redirect/);
  });

  test("SNAT addresses are no way in, Envoy's ports only for what was redirected", () => {
    const nft = rulesOf({}, open);
    assert.match(nft, /ip6 daddr \{ 2001:db8::9 \} tcp flags .* == syn drop/);
    assert.match(nft, /tcp dport 15001 ct status & dnat == 0 drop/);
  });

  test("tproxy: no REDIRECT but for DNS; a mark, a table, a rule for each family", () => {
    const { nft, items } = desiredState({ ...host, envoy: { ...envoy, redirect: "tproxy" } }, open);
    assert.deepEqual(nft.match(/redirect to :\d+/g), ["redirect to :15053"]);
    for (const family of [4, 6]) {
      const own = items.filter((item) => item.family === family).map(({ kind, text }) => `${kind} ${text}`);
      assert.ok(own.some((text) => text.startsWith("rule") && text.includes("fwmark 5347 lookup 5347")));
      assert.ok(own.some((text) => text.startsWith("route local default dev lo table 5347")));
    }
  });
});

test("SNAT addresses are local, in the table that the kernel lists by name", () => {
  const routes = desiredState(host, open).items.filter(({ kind }) => kind === "route");
  assert.deepEqual(
    routes.map(({ text }) => text),
    ["192.0.2.9", "2001:db8::9"].map((address) => `local ${address} dev lo table 255 metric 46 proto 46`),
  );
  const listed = { type: "local", dst: "192.0.2.9", dev: "lo", table: "local", metric: 46, protocol: "46" };
  assert.deepEqual(parseRoute(4, listed), routes[0]);
});

describe("a plan from the gateway is checked", () => {
  test("as it should be", () => assert.deepEqual(checkPlan(open, 0), open));
  for (const [name, sources] of [
    ["a name", ["example.org"]],
    ["a prefix", ["192.0.2.0/24"]],
    ["more than an address", ["192.0.2.9 }"]],
  ] as const)
    test(name, () =>
      assert.throws(() => checkPlan({ ...open, envoy: { sources, dns: true } }, 0), {
        code: "EG46_HOST_NETWORK",
      }),
    );
});
