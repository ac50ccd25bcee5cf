import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { IpRouteRow, Route } from "../../../src/netd/host-view.ts";
import type { IpRuleRow } from "../../../src/netd/kernel-state.ts";
import { outboundRoutes } from "../../../src/netd/outbound.ts";
import { routeMtus } from "../../../src/netd/route-mtus.ts";

const links = [
  ["internal0", 9000],
  ["external", 1500],
  ["tunnel", 1420],
  ["jumbo", 9000],
  ["tiny", 600],
].map(([name, mtu]) => ({ name: name as string, mtu: mtu as number, up: true, addresses: [] }));
const internalNets = ["10.244.0.0/16", "fd00::/48"];
const mtus = { inner: 9000, outer: 1500 };
const to = (prefix: string, device: string, more: Partial<Route> = {}): Route => ({
  ...{ family: prefix.includes(":") ? 6 : 4, to: prefix, device },
  ...more,
});

describe("routes with an MTU of their own", () => {
  const defaults = [to("default", "external"), to("::/0", "external"), to("10.244.0.0/16", "internal0")];
  const cases: [name: string, routes: Route[], expected: string[]][] = [
    ["none", defaults, []],
    ["by the route", [...defaults, to("192.0.2.0/24", "external", { mtu: 1400 })], ["192.0.2.0/24 1400"]],
    [
      "IPv6, by the route",
      [...defaults, to("2001:db8:7::/48", "external", { mtu: 1400 })],
      ["2001:db8:7::/48 1400"],
    ],
    ["by another link", [...defaults, to("192.0.2.0/24", "tunnel")], ["192.0.2.0/24 1420"]],
    [
      "no more than the link's",
      [...defaults, to("192.0.2.0/24", "tunnel", { mtu: 1500 })],
      ["192.0.2.0/24 1420"],
    ],
    ["a link that takes more", [...defaults, to("192.0.2.0/24", "jumbo")], ["192.0.2.0/24 9000"]],
    ["towards Pods", [...defaults, to("10.244.3.0/24", "tunnel")], ["10.244.3.0/24 1420"]],
    ["a single Pod", [...defaults, to("10.244.3.7", "internal0", { mtu: 1450 })], ["10.244.3.7/32 1450"]],
    [
      "the default route",
      [to("default", "external", { mtu: 1400 }), to("10.244.0.0/16", "internal0")],
      ["10.244.0.0/16 9000", "0.0.0.0/0 1400"],
    ],
    [
      "the interface's own within another: both, the longest first",
      [...defaults, to("192.0.2.0/24", "tunnel"), to("192.0.2.64/26", "external")],
      ["192.0.2.64/26 1500", "192.0.2.0/24 1420"],
    ],
    [
      "the same within another: one",
      [...defaults, to("192.0.2.64/26", "tunnel"), to("192.0.2.0/24", "tunnel")],
      ["192.0.2.0/24 1420"],
    ],
    [
      "the lowest metric of a prefix",
      [to("default", "tunnel", { metric: 100 }), to("default", "external", { metric: 50 })],
      [],
    ],
    [
      "several next hops: the smallest",
      [to("192.0.2.0/24", "external"), to("192.0.2.0/24", "tunnel")],
      ["192.0.2.0/24 1420"],
    ],
    ["IPv6 takes 1280 everywhere", [to("2001:db8::/32", "tiny")], ["2001:db8::/32 1280"]],
    ["IPv4 doesn't", [to("192.0.2.0/24", "tiny")], ["192.0.2.0/24 600"]],
    ["nor does it take anything", [to("192.0.2.0/24", "external", { mtu: 1 })], ["192.0.2.0/24 68"]],
    ["link-local", [to("fe80::/64", "tunnel")], []],
  ];
  for (const [name, outbound, expected] of cases)
    test(name, () => {
      const { routeMtus: found } = routeMtus({ links, outbound }, internalNets, mtus);
      assert.deepEqual(
        found.map((each) => `${each.to} ${each.mtu}`),
        expected,
      );
    });
});

describe("more routes than an engine takes", () => {
  const many = (count: number, device: string) =>
    Array.from({ length: count }, (_, i) => to(`10.${i >> 8}.${i & 255}.0/24`, device));
  const text = (found: ReturnType<typeof routeMtus>) =>
    found.routeMtus.map((each) => `${each.to} ${each.mtu}`);
  test("the longest are heeded, and default routes; how many aren't is told", () => {
    const defaults = [to("default", "external", { mtu: 1400 }), to("::/0", "external", { mtu: 1300 })];
    const outbound = [
      ...[to("192.0.2.9", "tunnel"), to("2001:db8::/32", "tunnel"), ...many(300, "jumbo"), ...defaults],
    ];
    const found = routeMtus({ links, outbound }, internalNets, mtus);
    const expected = [
      ...["2001:db8::/32 1420", "192.0.2.9/32 1420"],
      ...many(252, "jumbo").map((each) => `${each.to} 9000`),
      ...["0.0.0.0/0 1400", "::/0 1300"],
    ];
    assert.deepEqual(text(found).toSorted(), expected.toSorted());
    assert.deepEqual(text(found).slice(-2).toSorted(), expected.slice(-2));
    assert.equal(found.routeMtusLeftOut, 48);
  });
  test("just as many: none is left out", () => {
    const found = routeMtus({ links, outbound: many(256, "tunnel") }, internalNets, mtus);
    assert.deepEqual([found.routeMtus.length, found.routeMtusLeftOut], [256, 0]);
  });
  test("20,000 routes and 2,000 internal networks take no longer than their number", () => {
    const count = 20_000;
    const rows = Array.from(
      { length: count },
      (_, i): IpRouteRow => ({
        ...{ dst: `10.${i >> 8}.${i & 255}.0/24`, dev: "tunnel" },
        ...(i % 2 === 0 && { table: "100" }),
      }),
    );
    const rules = ["100", "main"].map((table): IpRuleRow => ({ priority: 1, src: "all", table }));
    const nets = Array.from({ length: 2000 }, (_, i) => `172.16.${i >> 8}.${i & 255}/32`);
    const start = performance.now();
    const outbound = outboundRoutes(4, rules, rows);
    const found = routeMtus({ links, outbound }, nets, mtus);
    // By comparing each with each it would be minutes.
    assert.ok(performance.now() - start < 10_000, `${performance.now() - start} ms`);
    assert.equal(outbound.length, count);
    assert.deepEqual([found.routeMtus.length, found.routeMtusLeftOut], [256, count - 256]);
  });
});

describe("which routes lead out", () => {
  const rows: IpRouteRow[] = [
    { dst: "default", dev: "main" },
    { dst: "192.0.2.0/24", dev: "main" },
    { dst: "192.0.2.128/25", dev: "main" },
    { dst: "192.0.2.0/24", dev: "other", table: "100", metrics: [{ mtu: 1400 }] },
    { dst: "default", dev: "last", table: "default" },
    { dst: "192.0.2.9", dev: "lo", table: "local", type: "local" },
    { dst: "192.0.2.10", dev: "eg46-0", protocol: "46" },
  ];
  const rule = (table: string, more: Partial<IpRuleRow> & object = {}): IpRuleRow => ({
    ...{ priority: 1, src: "all", table },
    ...more,
  });
  const standard = [rule("local"), rule("main"), rule("default")];
  const main = ["default main", "192.0.2.0/24 main", "192.0.2.128/25 main"];
  const cases: [name: string, rules: IpRuleRow[], expected: string[]][] = [
    ["the main table", standard, main],
    ["another one before it", [rule("100"), ...standard], ["192.0.2.0/24 other", "default main"]],
    [
      "another one behind it",
      [rule("main", { suppress_prefixlen: 0 }), rule("100"), rule("default")],
      ["192.0.2.0/24 main", "192.0.2.128/25 main", "default last"],
    ],
    ["not what a mark leads to", [rule("100", { fwmark: "0x4d" }), ...standard], main],
    [
      "what leads there without the mark",
      [rule("100", { fwmark: "0x4d", not: null }), ...standard],
      ["192.0.2.0/24 other", "default main"],
    ],
    ["not by source", [rule("100", { src: "10.0.0.0", srclen: 8 }), ...standard], main],
    ["not by interface", [rule("100", { iif: "eth7" }), ...standard], main],
    ["not by port", [rule("100", { dport: 53 }), ...standard], main],
    ["none of ours", [rule("100", { protocol: "46" }), ...standard], main],
  ];
  for (const [name, rules, expected] of cases)
    test(name, () =>
      assert.deepEqual(
        outboundRoutes(4, rules, rows).map((each) => `${each.to} ${each.device}`),
        expected,
      ),
    );
  test("with the route's MTU", () => assert.equal(outboundRoutes(4, [rule("100")], rows)[0]?.mtu, 1400));
});
