import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type HostView, toLink, toRoutes } from "../../../src/netd/host-view.ts";
import {
  chooseInterfaces,
  defaultSources,
  internalNetworks,
  type TopologyRequest,
} from "../../../src/netd/topology.ts";

const link = (name: string, ...addresses: string[]) => ({ name, mtu: 1500, up: true, addresses });
const view: HostView = {
  links: [
    link("lo"),
    link("eth0", "192.0.2.2/24", "2001:db8::2/64"),
    link("eth1", "10.0.0.1/24"),
    link("eth2"),
  ],
  routes: [
    { family: 4, to: "default", device: "eth0" },
    { family: 4, to: "192.0.2.0/24", device: "eth0" },
    { family: 6, to: "2001:db8::/64", device: "eth0" },
    { family: 4, to: "10.0.0.0/24", device: "eth1" },
    { family: 4, to: "10.244.0.0/16", device: "eth1" },
    { family: 6, to: "fe80::/64", device: "eth1" },
    { family: 6, to: "fd00::/48", device: "eth1" },
  ],
  outbound: [],
};
const nothing: TopologyRequest = { internal: [], internalNets: [], external: [] };

describe("interfaces", () => {
  const cases: [string, Partial<TopologyRequest>, internal: string[], external: string[]][] = [
    ["both named", { internal: ["eth1"], external: ["eth2"] }, ["eth1"], ["eth2"]],
    ["external by the default route", { internal: ["eth1"] }, ["eth1"], ["eth0"]],
    ["internal by the network behind it", { internalNets: ["10.244.7.0/24"] }, ["eth1"], ["eth0"]],
    ["internal by two networks", { internalNets: ["10.0.0.0/24", "fd00::/64"] }, ["eth1"], ["eth0"]],
    ["one interface for both", { internalNets: ["198.51.100.0/24"] }, ["eth0"], ["eth0"]],
  ];
  for (const [name, request, internal, external] of cases)
    test(name, () =>
      assert.deepEqual(chooseInterfaces(view, { ...nothing, ...request }), { internal, external }),
    );

  const refused: [string, Partial<TopologyRequest>, RegExp, HostView?][] = [
    ["neither internal nor internal-net", {}, /--internal IF or --internal-net.*for example: egress46 run/],
    ["no default route", { internal: ["eth1"] }, /no default route.*for example/, { ...view, routes: [] }],
    ["an interface that isn't there", { internal: ["eth9"] }, /no interface 'eth9'.*eth0, eth1/],
    ["a wildcard", { internal: ["eth*"] }, /'eth\*' is not a usable interface name/],
    ["shared without prefix", { internal: ["eth0"] }, /internal and external at once.*--internal-net/],
    ["a net that no route leads to", { internalNets: ["2001:db8:1::/64"] }, /no route leads to/],
  ];
  test("an interface that isn't there is no lack of the machine", () =>
    assert.throws(() => chooseInterfaces(view, { ...nothing, internal: ["eth9"] }), {
      code: "EG46_INTERFACE",
    }));
  for (const [name, request, message, host = view] of refused)
    test(`refused: ${name}`, () =>
      assert.throws(() => chooseInterfaces(host, { ...nothing, ...request }), { message }));
});

describe("internal networks", () => {
  const interfaces = { internal: ["eth1"], external: ["eth0"] };
  test("connected and routed, no link-local", () =>
    assert.deepEqual(internalNetworks(view, interfaces, []), ["10.0.0.0/24", "10.244.0.0/16", "fd00::/48"]));
  test("as given, in canonical form", () =>
    assert.deepEqual(internalNetworks(view, interfaces, ["10.9.8.7/8", "FD00:0::1/64"]), [
      "10.0.0.0/8",
      "fd00::/64",
    ]));
});

describe("sources of the default routes", () => {
  const addresses = ["10.50.0.1/24", "10.60.0.1/24", "2001:db8::1/64"];
  const links = [link("one", ...addresses), link("two", "192.0.2.1/24")];
  const to = (device: string, more: object) => ({ family: 4, to: "default", device, ...more }) as const;
  const cases: [name: string, routes: HostView["routes"], sources: string[]][] = [
    ["the route's own", [to("one", { via: "10.50.0.9", source: "10.60.0.1" })], ["10.60.0.1"]],
    ["on the link of the next hop", [to("one", { via: "10.60.0.9" })], ["10.60.0.1"]],
    ["IPv6", [{ ...to("one", { via: "2001:db8::9" }), family: 6 }], ["2001:db8::1"]],
    ["a next hop by link-local address tells nothing", [to("one", { via: "fe80::9" })], []],
    ["no next hop", [to("one", {})], []],
    ["another interface's", [to("two", { via: "192.0.2.9" })], []],
    ["in the routes' order", [to("one", { source: "b" }), to("one", { source: "a" })], ["b", "a"]],
  ];
  for (const [name, routes, sources] of cases)
    test(name, () => assert.deepEqual(defaultSources({ links, routes, outbound: [] }, ["one"]), sources));
});

describe("what ip prints", () => {
  test("addresses: global ones that are in force", () => {
    const info = (local: string, more: object = {}) => ({ local, prefixlen: 64, scope: "global", ...more });
    const row = { ifname: "eth0", mtu: 9000, flags: ["UP"] };
    const addr_info = [
      info("2001:db8::1"),
      info("fe80::1", { scope: "link" }),
      info("2001:db8::2", { tentative: true }),
    ];
    assert.deepEqual(toLink({ ...row, addr_info }), {
      name: "eth0",
      mtu: 9000,
      up: true,
      addresses: ["2001:db8::1/64"],
    });
  });
  test("routes: unicast, each hop of a multipath route, none of ours", () => {
    const rows = [
      {
        dst: "default",
        nexthops: [{ dev: "eth0", gateway: "192.0.2.1" }, { dev: "eth1" }],
        prefsrc: "192.0.2.2",
      },
      { dst: "10.0.0.0/8", type: "blackhole" },
      { dst: "10.1.0.0/16", dev: "eg46-0", protocol: "46" },
    ];
    assert.deepEqual(toRoutes(4, rows), [
      { family: 4, to: "default", device: "eth0", via: "192.0.2.1", source: "192.0.2.2" },
      { family: 4, to: "default", device: "eth1", source: "192.0.2.2" },
    ]);
  });
});
