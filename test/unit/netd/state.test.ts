import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Host } from "../../../src/netd/host.ts";
import type { Item } from "../../../src/netd/items.ts";
import { parseRoute, parseRule } from "../../../src/netd/kernel-state.ts";
import type { NetworkPlan } from "../../../src/netd/protocol.ts";
import { desiredState } from "../../../src/netd/state.ts";
import { planSteps } from "../../../src/netd/steps.ts";

const host: Host = {
  internal: ["in0"],
  external: ["ex0"],
  internalNets: ["10.244.0.0/16", "fd00::/48"],
  tuns: ["eg46-0", "eg46-1"],
  connected: [{ device: "in0", net: "10.244.1.0/24" }],
  ipv6: true,
};
const plan: NetworkPlan = { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
const texts = (kind: Item["kind"], of: NetworkPlan, on: Host = host, family = 4) =>
  desiredState(on, of)
    .items.filter((item) => item.kind === kind && item.family === family)
    .map((item) => item.text.replace(/ (protocol|proto) 46$/, ""));

describe("rules", () => {
  const toInner = "priority 4603 to 10.244.0.0/16 iif in0 lookup main suppress_prefixlength 0";
  const rest = "priority 4606 iif in0 lookup 4600";
  const cases: [string, Partial<NetworkPlan>, string[], Partial<Host>?][] = [
    ["plain", {}, [toInner, rest]],
    [
      "a NAT subnet comes first",
      { natSubnets: ["10.244.50.0/24"] },
      ["priority 4602 to 10.244.50.0/24 iif in0 lookup 4600", toInner, rest],
    ],
    [
      "DNS",
      { dnsIntercept: true },
      [toInner, "priority 4604 iif in0 ipproto tcp dport 53 lookup 5346", rest],
    ],
    [
      "DNS at a NAT subnet",
      { dnsIntercept: true, natSubnets: ["10.9.0.0/16"] },
      [
        "priority 4600 to 10.9.0.0/16 iif in0 ipproto tcp dport 53 lookup 5346",
        "priority 4602 to 10.9.0.0/16 iif in0 lookup 4600",
        toInner,
        "priority 4604 iif in0 ipproto tcp dport 53 lookup 5346",
        rest,
      ],
    ],
    [
      "two workers by mark, the first for what has none",
      { workers: 2 },
      [
        toInner,
        "priority 4605 iif in0 fwmark 4600 lookup 4600",
        "priority 4605 iif in0 fwmark 4601 lookup 4601",
        "priority 4606 iif in0 lookup 4600",
      ],
    ],
    [
      "shared SNAT addresses: return traffic by mark to all workers but the first, one rule each",
      {
        shared: {
          addresses: ["192.0.2.7"],
          slices: [
            { worker: 0, ports: [1024, 33279] },
            { worker: 1, ports: [33280, 65535] },
          ],
        },
      },
      ["priority 4599 fwmark 46001 lookup 4601", toInner, rest],
    ],
    [
      "one interface: by source prefix",
      {},
      [
        "priority 4603 from 10.244.0.0/16 to 10.244.0.0/16 iif ex0 lookup main suppress_prefixlength 0",
        "priority 4606 from 10.244.0.0/16 iif ex0 lookup 4600",
      ],
      { internal: ["ex0"] },
    ],
    [
      "any source",
      {},
      ["priority 4603 iif ex0 lookup main suppress_prefixlength 0", "priority 4606 iif ex0 lookup 4600"],
      { internal: ["ex0"], internalNets: ["0.0.0.0/0"] },
    ],
  ];
  for (const [name, change, expected, on] of cases)
    test(name, () => assert.deepEqual(texts("rule", { ...plan, ...change }, { ...host, ...on }), expected));

  test("a NAT64 prefix comes first in IPv6, and is no route of the host's own", () => {
    const nat64 = { ...plan, natSubnets: ["fd00:0:0:64::/96"] };
    assert.deepEqual(texts("rule", nat64, host, 6), [
      "priority 4602 to fd00:0:0:64::/96 iif in0 lookup 4600",
      "priority 4603 to fd00::/48 iif in0 lookup main suppress_prefixlength 0",
      rest,
    ]);
    assert.deepEqual(texts("rule", nat64), texts("rule", plan));
    assert.deepEqual(texts("route", nat64, host, 6), texts("route", plan, host, 6));
    const connected = [{ device: "in0", net: "fd00::/64" }];
    assert.deepEqual(
      desiredState({ ...host, connected }, nat64).sysctls,
      desiredState({ ...host, connected }, plan).sysctls,
    );
  });
  test("IPv6 has its own networks", () =>
    assert.deepEqual(texts("rule", plan, host, 6), [
      "priority 4603 to fd00::/48 iif in0 lookup main suppress_prefixlength 0",
      rest,
    ]));
  test("nothing of IPv6 where the kernel has none", () =>
    assert.deepEqual(
      desiredState({ ...host, ipv6: false }, plan).items.filter(({ family }) => family === 6),
      [],
    ));
});

describe("routes and proxies", () => {
  const full: NetworkPlan = {
    ...plan,
    natSubnets: ["10.9.0.0/16"],
    snatPool: [
      { address: "192.0.2.7", worker: 1 },
      { address: "2001:db8::7", worker: 0 },
    ],
    automap: [{ address: "192.0.2.2", alias: "100.64.46.2", worker: 1, ports: [20000, 29999] }],
    dnsIntercept: true,
  };
  test("IPv4", () =>
    assert.deepEqual(texts("route", full), [
      "default dev eg46-0 table 4600 metric 46",
      "blackhole default table 4600 metric 4646",
      "default dev eg46-1 table 4601 metric 46",
      "blackhole default table 4601 metric 4646",
      "local default dev lo table 5346 metric 46",
      "192.0.2.7 dev eg46-1 metric 46",
      "100.64.46.2 dev eg46-1 metric 46",
      "10.9.0.0/16 dev eg46-0 metric 46",
    ]));
  test("proxies on the external interface", () => {
    assert.deepEqual(texts("neigh", full), ["proxy 192.0.2.7 dev ex0"]);
    assert.deepEqual(texts("neigh", full, host, 6), ["proxy 2001:db8::7 dev ex0"]);
  });
  const keys = (of: NetworkPlan) => desiredState(host, of).sysctls.map(({ key }) => key);
  test("proxy_arp only for a NAT subnet on an internal link", () => {
    assert.ok(keys({ ...plan, natSubnets: ["10.244.1.128/25"] }).includes("net/ipv4/conf/in0/proxy_arp"));
    assert.ok(!keys(full).includes("net/ipv4/conf/in0/proxy_arp"));
  });
  test("proxy_ndp only for an IPv6 pool", () => {
    assert.ok(keys(full).includes("net/ipv6/conf/ex0/proxy_ndp"));
    assert.ok(!keys(plan).includes("net/ipv6/conf/ex0/proxy_ndp"));
  });
});

describe("what the kernel prints comes back as the text it was made by", () => {
  const rules: [object, string][] = [
    [
      { dst: "10.0.0.0", dstlen: 24, iif: "a", table: "main", suppress_prefixlen: 0 },
      "priority 1 to 10.0.0.0/24 iif a lookup main suppress_prefixlength 0 protocol 46",
    ],
    [
      { iif: "a", ipproto: "tcp", dport: 53, table: "5346" },
      "priority 1 iif a ipproto tcp dport 53 lookup 5346 protocol 46",
    ],
    [
      { src: "10.0.0.1", fwmark: "0x11f8", iif: "a", iif_detached: null, table: "4600" },
      "priority 1 from 10.0.0.1 iif a fwmark 4600 lookup 4600 protocol 46",
    ],
  ];
  for (const [row, text] of rules)
    test(text, () =>
      assert.equal(parseRule(4, { priority: 1, src: "all", protocol: "46", ...row }).text, text),
    );
  const routes: [4 | 6, Parameters<typeof parseRoute>[1], string][] = [
    [
      6,
      { type: "blackhole", dst: "default", dev: "lo", table: "4600", metric: 4646 },
      "blackhole default table 4600 metric 4646 proto 46",
    ],
    [
      4,
      { type: "local", dst: "default", dev: "lo", table: "5346", metric: 46 },
      "local default dev lo table 5346 metric 46 proto 46",
    ],
    [6, { dst: "2001:db8::3", dev: "t", metric: 46 }, "2001:db8::3 dev t metric 46 proto 46"],
  ];
  for (const [family, row, text] of routes)
    test(text, () => assert.equal(parseRoute(family, row).text, text));
});

describe("steps", () => {
  const wanted = desiredState(host, plan);
  const sysctl = new Map<string, number>();
  const actual = { nft: wanted.nft, items: wanted.items, readSysctl: (key: string) => sysctl.get(key) };

  test("none where all is as wanted", () => assert.deepEqual(planSteps(actual, wanted), []));
  test("guard first, additions before removals, each with its opposite", () => {
    const next = desiredState(host, { ...plan, natSubnets: ["10.9.0.0/16"] });
    const old: Item = { kind: "rule", family: 4, text: "priority 1 iif old lookup 4600 protocol 46" };
    const steps = planSteps({ ...actual, nft: "before", items: [...wanted.items, old] }, next);
    assert.deepEqual(steps, [
      { tool: "nft", run: next.nft, undo: "before" },
      {
        tool: "ip",
        family: 4,
        removes: false,
        run: "route add 10.9.0.0/16 dev eg46-0 metric 46 proto 46",
        undo: "route del 10.9.0.0/16 dev eg46-0 metric 46 proto 46",
      },
      {
        tool: "ip",
        family: 4,
        removes: false,
        run: "rule add priority 4602 to 10.9.0.0/16 iif in0 lookup 4600 protocol 46",
        undo: "rule del priority 4602 to 10.9.0.0/16 iif in0 lookup 4600 protocol 46",
      },
      { tool: "ip", family: 4, removes: true, run: `rule del ${old.text}`, undo: `rule add ${old.text}` },
    ]);
  });
  test("over a predecessor's remains nothing goes before the first plan", () => {
    const old: Item = { kind: "rule", family: 4, text: "priority 1 iif old lookup 4600 protocol 46" };
    assert.deepEqual(planSteps({ ...actual, items: [...wanted.items, old] }, wanted, true), []);
  });

  const filters: [all: number, own: number, changes: number][] = [
    [0, 0, 0],
    [1, 0, 1],
    [0, 1, 1],
    [1, 1, 1],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 0],
  ];
  for (const [all, own, changes] of filters)
    test(`rp_filter all=${all} own=${own}: ${changes ? "set to 2" : "left alone"}`, () => {
      const values: Record<string, number> = {
        "net/ipv4/conf/all/rp_filter": all,
        "net/ipv4/conf/ex0/rp_filter": own,
      };
      const steps = planSteps({ ...actual, readSysctl: (key) => values[key] }, wanted);
      assert.equal(steps.length, changes);
    });
});
