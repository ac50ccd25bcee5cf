import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatNote } from "../../../src/config/notes.ts";
import { parseResources } from "../../../src/config/parse.ts";
import { type Resolution, resolveEgress } from "../../../src/config/resolve.ts";
import type { Resource } from "../../../src/config/types.ts";
import { dns46, resource, specExample } from "../../support/resources.ts";

const egress = (spec: object = {}, meta = {}) =>
  resource("F5SPKEgress", spec, { name: "egress-crd", ...meta });
const pool = (spec: object = {}, meta = {}) =>
  resource(
    "F5SPKSnatpool",
    { name: "egress_snatpool", addressList: [["10.0.0.1", "2001:DB8:0::1"]], ...spec },
    meta,
  );
const vlan = (spec: object, meta = {}) => resource("F5SPKVlan", { name: "v", ...spec }, meta);

function active(...resources: Resource[]) {
  const resolution = resolveEgress(resources);
  assert.equal(resolution.state, "active", JSON.stringify(resolution));
  return (resolution as Extract<Resolution, { state: "active" }>).egress;
}
function waiting(...resources: Resource[]): string {
  const resolution = resolveEgress(resources);
  assert.equal(resolution.state, "waiting");
  return (resolution as Extract<Resolution, { state: "waiting" }>).reason;
}
const notes = (...resources: Resource[]) => resolveEgress(resources).notes.map(formatNote);

test("no resources, no egress", () => {
  assert.deepEqual(resolveEgress([]), { state: "none", notes: [] });
  assert.deepEqual(resolveEgress([pool()]), { state: "none", notes: [] });
});

suite("the specification's examples", () => {
  const read = (name: string) => parseResources(name, specExample(name)).resources;

  test("SNAT automap", () => {
    assert.deepEqual(active(...read("automap")), {
      name: "egress-crd",
      namespace: "spk-ingress",
      dualStack: true,
      snat: { kind: "automap" },
      automapAddresses: [],
      debugLog: false,
    });
  });

  test("DNS/NAT46 with its SNAT pool, in either order", () => {
    const expected = {
      name: "egress-crd",
      namespace: "spk-ingress",
      dualStack: false,
      snat: {
        kind: "pool",
        name: "egress_snatpool",
        lists: [
          ["2001::10:244:100:250", "2001::10:244:100:251"],
          ["2001::10:244:100:252", "2001::10:244:100:253"],
        ],
        shared: false,
      },
      dns: {
        subnet: "10.244.50.0/24",
        upstreams: ["10.244.40.252", "10.244.40.253"],
        sorryIp: "10.244.40.100",
        maxTtl: 120,
        reservedStatic: 0,
        rateLimit: 0,
      },
      automapAddresses: [],
      debugLog: false,
    };
    assert.deepEqual(active(...read("snatpool"), ...read("dns46")), expected);
    assert.deepEqual(active(...read("dns46"), ...read("snatpool")), expected);
  });

  test("without the pool the egress waits, and says for what", () => {
    assert.equal(
      waiting(...read("dns46")),
      `F5SPKSnatpool with spec.name "egress_snatpool" does not exist in namespace spk-ingress yet`,
    );
  });
});

suite("SNAT", () => {
  const automap = { kind: "automap" };
  const kinds: [name: string, spec: object, snat: string][] = [
    ["absent", {}, "automap"],
    ["empty", { egressSnatpool: "" }, "automap"],
    ["null", { egressSnatpool: null }, "automap"],
    ["null, snatType automap", { egressSnatpool: null, snatType: "SRC_TRANS_AUTOMAP" }, "automap"],
    ["named", { egressSnatpool: "egress_snatpool" }, "pool"],
    ["named, snatType pool", { egressSnatpool: "egress_snatpool", snatType: "SRC_TRANS_SNATPOOL" }, "pool"],
    ["snatType none", { snatType: "SRC_TRANS_NONE" }, "none"],
  ];
  for (const [name, spec, kind] of kinds)
    test(`egressSnatpool ${name}: ${kind}`, () => assert.equal(active(egress(spec), pool()).snat.kind, kind));

  test("a pool is found by spec.name, not metadata.name", () => {
    const spec = { egressSnatpool: "egress_snatpool" };
    waiting(egress(spec), pool({ name: "other" }, { name: "egress-snatpool" }));
    assert.equal(active(egress(spec), pool({}, { name: "whatever" })).snat.kind, "pool");
  });

  test("a pool of another namespace is mentioned, not used", () => {
    const reason = waiting(egress({ egressSnatpool: "egress_snatpool" }), pool({}, { namespace: "other" }));
    assert.match(reason, /\(there is one in namespace other\)$/);
  });

  test("two pools of one name: the older", () => {
    const [young, old] = [
      pool({ addressList: [["10.0.0.2"]] }, { name: "young", creationTimestamp: "2025-02-01T00:00:00Z" }),
      pool({}, { name: "old", creationTimestamp: "2025-01-01T00:00:00Z" }),
    ];
    const { snat } = active(egress({ egressSnatpool: "egress_snatpool" }), young, old);
    assert.deepEqual(snat.kind === "pool" && snat.lists, [["10.0.0.1", "2001:db8::1"]]);
    assert.deepEqual(notes(egress({ egressSnatpool: "egress_snatpool" }), young, old), [
      "F5SPKSnatpool spk-ingress/young: spec.name: not in force: F5SPKSnatpool spk-ingress/old has the same spec.name and is older",
    ]);
  });

  test("automap's addresses are the external VLANs' self IPs, IPv4 first", () => {
    const vlans = [
      vlan({ internal: true, selfip_v4s: ["10.9.0.1"] }, { name: "in" }),
      vlan({ selfip_v4s: ["10.1.0.1"], selfip_v6s: ["2001:db8:0::1"] }, { name: "out1" }),
      vlan({ selfip_v4s: ["10.2.0.1", "10.1.0.1"] }, { name: "out2" }),
      vlan({ selfip_v4s: ["10.3.0.1"] }, { name: "out3", namespace: "other" }),
    ];
    assert.deepEqual(active(egress(), ...vlans).automapAddresses, ["10.1.0.1", "10.2.0.1", "2001:db8::1"]);
    assert.deepEqual(active(egress(), ...vlans).snat, automap);
    assert.deepEqual(
      active(egress({ egressSnatpool: "egress_snatpool" }), pool(), ...vlans).automapAddresses,
      [],
    );
  });

  test("a source inside the DNS46 subnet holds the egress back", () => {
    const spec = { ...dns46, egressSnatpool: "egress_snatpool" };
    const reason = waiting(egress(spec), pool({ addressList: [["2001:db8::1", "10.244.50.7"]] }));
    assert.equal(reason, "the SNAT address 10.244.50.7 lies inside dnsNat46Ipv4Subnet 10.244.50.0/24");
    waiting(egress(dns46), vlan({ selfip_v4s: ["10.244.50.7"] }));
  });
});

suite("NAT64", () => {
  const on = { nat64Enabled: true };
  const rows: [name: string, spec: object, nat64: string | undefined, ...notes: string[]][] = [
    ["off", {}, undefined],
    ["off, the default prefix written", { nat64Ipv6Subnet: "64:ff9b::/96" }, undefined],
    [
      "off, another prefix",
      { nat64Ipv6Subnet: "2001:db8:64::/96" },
      undefined,
      "spec.nat64Ipv6Subnet: has no effect while nat64Enabled is false",
    ],
    ["on", on, "64:ff9b::/96"],
    ["another prefix", { ...on, nat64Ipv6Subnet: "2001:db8:64::/48" }, "2001:db8:64::/48"],
    ["another spelling", { ...on, nat64Ipv6Subnet: "2001:DB8:64:0::/96" }, "2001:db8:64::/96"],
    [
      "host bits",
      { ...on, nat64Ipv6Subnet: "2001:db8:64::1/96" },
      "2001:db8:64::/96",
      "spec.nat64Ipv6Subnet: 2001:db8:64::1/96 is read as 2001:db8:64::/96",
    ],
  ];
  for (const [name, spec, nat64, ...said] of rows)
    test(name, () => {
      assert.equal(active(egress(spec)).nat64, nat64);
      assert.deepEqual(
        notes(egress(spec)),
        said.map((text) => `F5SPKEgress spk-ingress/egress-crd: ${text}`),
      );
    });

  test("a source inside the prefix holds the egress back", () => {
    const spec = { ...on, nat64Ipv6Subnet: "2001:db8::/96", egressSnatpool: "egress_snatpool" };
    assert.equal(
      waiting(egress(spec), pool()),
      "the SNAT address 2001:db8::1 lies inside nat64Ipv6Subnet 2001:db8::/96",
    );
  });
});

suite("two F5SPKEgress", () => {
  const [january, february] = ["2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z"];
  const rows: [name: string, first: string | undefined, second: string | undefined, winner: string][] = [
    ["no timestamps: the first seen", undefined, undefined, "first"],
    ["timestamps: the older", february, january, "second"],
    ["equal timestamps: the first seen", january, january, "first"],
    ["one timestamp: that one", undefined, february, "second"],
  ];
  for (const [name, first, second, winner] of rows)
    test(name, () => {
      const at = (creationTimestamp: string | undefined) => (creationTimestamp ? { creationTimestamp } : {});
      const both = [
        egress({}, { name: "first", ...at(first) }),
        egress({}, { name: "second", ...at(second) }),
      ];
      const loser = winner === "first" ? "second" : "first";
      assert.equal(active(...both).name, winner);
      assert.deepEqual(notes(...both), [
        `F5SPKEgress spk-ingress/${loser}: not in force: F5SPKEgress spk-ingress/${winner} is older, and a gateway has one egress`,
      ]);
    });

  test("the younger does not step in while the older waits", () => {
    waiting(egress({ egressSnatpool: "missing" }, { name: "first" }), egress({}, { name: "second" }));
  });
});

suite("notes", () => {
  const unsupported: [field: string, value: unknown, byDefault: unknown][] = [
    ["dnsCacheName", "cache", ""],
    ["vlans", { vlanList: ["v"] }, { vlanList: [] }],
    ["vlans", { disableListedVlans: false }, { disableListedVlans: true }],
  ];
  for (const [field, value, byDefault] of unsupported)
    test(`${field} ${JSON.stringify(value)} is not supported yet, and says so`, () => {
      const [text = "", ...more] = notes(egress({ [field]: value }));
      assert.ok(
        text.startsWith(`F5SPKEgress spk-ingress/egress-crd: spec.${field}: not supported yet: `),
        text,
      );
      assert.deepEqual(more, []);
      assert.deepEqual(notes(egress({ [field]: byDefault })), []);
    });

  test("of a VLAN", () => {
    assert.deepEqual(
      notes(egress(), vlan({ interfaces: ["1.1"], tag: 5, mtu: 9000 })).map((text) => text.split(": ")[1]),
      ["spec.interfaces", "spec.tag", "spec.mtu"],
    );
  });

  test("of settings without effect", () => {
    assert.deepEqual(notes(egress({ dnsNat46Ipv4Subnet: "10.244.50.0/24" })), [
      "F5SPKEgress spk-ingress/egress-crd: spec.dnsNat46Ipv4Subnet: has no effect while dnsNat46Enabled is false",
    ]);
    assert.deepEqual(notes(egress({ ...dns46, dnsNat46Ipv4Subnet: "10.244.50.9/24" })), [
      "F5SPKEgress spk-ingress/egress-crd: spec.dnsNat46Ipv4Subnet: 10.244.50.9/24 is read as 10.244.50.0/24",
    ]);
  });

  test("of a pool that lacks a family", () => {
    const spec = { ...dns46, dualStackEnabled: true, egressSnatpool: "egress_snatpool" };
    assert.equal(notes(egress(spec), pool({ addressList: [["10.0.0.1"]] })).length, 2);
    assert.equal(notes(egress(spec), pool({ addressList: [["2001:db8::1"]] })).length, 1);
    assert.equal(notes(egress(spec), pool()).length, 0);
  });
});
