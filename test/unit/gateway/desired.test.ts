import assert from "node:assert/strict";
import { test } from "node:test";
import type { EgressConfig, Snat } from "../../../src/config/resolve.ts";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { desire } from "../../../src/gateway/desired.ts";
import type { HostFacts } from "../../../src/netd/protocol.ts";

const facts: HostFacts = {
  tuns: [],
  internalNets: ["10.244.0.0/16"],
  internal: [{ name: "internal0", mtu: 9000, addresses: ["10.244.1.1/24", "fd00::1/64"] }],
  external: [{ name: "external", mtu: 1500, addresses: ["192.0.2.1/24", "2001:db8::1/64", "192.0.2.2/24"] }],
  defaultSources: [],
  routeMtus: [],
  automapPorts: [20000, 29999],
  descriptorChannel: 9,
};
const egress = (snat: Snat, more: Partial<EgressConfig> = {}): EgressConfig => ({
  name: "egress",
  namespace: "default",
  dualStack: false,
  snat,
  automapAddresses: [],
  debugLog: false,
  ...more,
});
const automap: Snat = { kind: "automap" };
const pool = (...lists: string[][]): Snat => ({ kind: "pool", name: "pool", lists, shared: false });
const sharedPool = (...lists: string[][]): Snat => ({ kind: "pool", name: "pool", lists, shared: true });
const addressesOf = (desired: ReturnType<typeof desire>) =>
  desired.settings.map((each) =>
    each.pool.map(({ address, firstPort, lastPort }) => `${address} ${firstPort}-${lastPort}`),
  );

test("no egress: nothing is active, nothing is routed, MTUs and networks are known", () => {
  const desired = desire(undefined, facts, 2);
  assert.deepEqual(desired.plan, {
    workers: 1,
    natSubnets: [],
    snatPool: [],
    automap: [],
    dnsIntercept: false,
  });
  assert.deepEqual(
    desired.settings.map(({ active, mtuInner, mtuOuter }) => [active, mtuInner, mtuOuter]),
    [
      [false, 9000, 1500],
      [false, 9000, 1500],
    ],
  );
});

for (const [name, snat, workers, used, expected] of [
  [
    "1 worker, 1 list",
    pool(["2001:db8::a", "192.0.2.9"]),
    1,
    1,
    [["2001:db8::a 1024-65535", "192.0.2.9 1024-65535"]],
  ],
  [
    "1 worker, 2 lists: it serves both",
    pool(["2001:db8::a"], ["2001:db8::b"]),
    1,
    1,
    [["2001:db8::a 1024-65535", "2001:db8::b 1024-65535"]],
  ],
  [
    "2 workers, 2 lists: one each",
    pool(["2001:db8::a"], ["2001:db8::b"]),
    2,
    2,
    [["2001:db8::a 1024-65535"], ["2001:db8::b 1024-65535"]],
  ],
  [
    "2 workers, 3 lists: n, n+W",
    pool(["::a"], ["::b"], ["::c"]),
    2,
    2,
    [["::a 1024-65535", "::c 1024-65535"], ["::b 1024-65535"]],
  ],
  ["2 workers, 1 list: only one has Pods", pool(["2001:db8::a"]), 2, 1, [["2001:db8::a 1024-65535"], []]],
  [
    "shared, 1 worker: the whole pool, all ports",
    sharedPool(["2001:db8::a"], ["192.0.2.9"]),
    1,
    1,
    [["2001:db8::a 1024-65535", "192.0.2.9 1024-65535"]],
  ],
  [
    "shared, 2 workers: all addresses, a slice of the ports each",
    sharedPool(["2001:db8::a"], ["192.0.2.9"]),
    2,
    2,
    [
      ["2001:db8::a 1024-33279", "192.0.2.9 1024-33279"],
      ["2001:db8::a 33280-65535", "192.0.2.9 33280-65535"],
    ],
  ],
  [
    "shared, 3 workers, 1 list: all have Pods",
    sharedPool(["192.0.2.9"]),
    3,
    3,
    [["192.0.2.9 1024-22527"], ["192.0.2.9 22528-44031"], ["192.0.2.9 44032-65535"]],
  ],
  [
    "automap, 1 worker: first address of each family",
    automap,
    1,
    1,
    [["192.0.2.1 20000-29999", "2001:db8::1 20000-29999"]],
  ],
  [
    "automap, 2 workers: a slice of the ports each",
    automap,
    2,
    2,
    [
      ["192.0.2.1 20000-24999", "2001:db8::1 20000-24999"],
      ["192.0.2.1 25000-29999", "2001:db8::1 25000-29999"],
    ],
  ],
] as const)
  test(`SNAT ${name}`, () => {
    const desired = desire(egress(snat), facts, workers);
    assert.equal(desired.plan.workers, used);
    assert.deepEqual(addressesOf(desired), expected);
  });

test("shared addresses: routed to the first worker, by port to the others; nothing to tell apart with one worker", () => {
  const two = desire(egress(sharedPool(["192.0.2.9"], ["192.0.2.10"])), facts, 2).plan;
  assert.deepEqual(two.snatPool, [
    { address: "192.0.2.9", worker: 0 },
    { address: "192.0.2.10", worker: 0 },
  ]);
  assert.deepEqual(two.shared, {
    addresses: ["192.0.2.9", "192.0.2.10"],
    slices: [
      { worker: 0, ports: [1024, 33279] },
      { worker: 1, ports: [33280, 65535] },
    ],
  });
  assert.equal(desire(egress(sharedPool(["192.0.2.9"])), facts, 1).plan.shared, undefined);
});

for (const [name, snat, workers, expected] of [
  ["as many lists as workers", pool(["192.0.2.9"], ["192.0.2.10"]), 2, undefined],
  ["more lists than workers", pool(["192.0.2.9"], ["192.0.2.10"]), 1, undefined],
  ["shared addresses", sharedPool(["192.0.2.9"]), 4, undefined],
  ["automap", automap, 4, undefined],
  [
    "one list",
    pool(["192.0.2.9"]),
    4,
    "--workers 4: SNAT pool pool has 1 list, so 3 of the workers have nothing to do: give it 4 lists, or set sharedSnatAddressEnabled",
  ],
] as const)
  test(`idle workers are said: ${name}`, () => {
    const { warnings } = desire(egress(snat), facts, workers);
    assert.deepEqual(warnings, expected === undefined ? [] : [expected]);
  });

for (const [maxMappings, said] of [
  [256, false],
  [255, true],
] as const)
  test(`room for ${maxMappings} mappings and a subnet of 256: ${said ? "said" : "enough"}`, () => {
    const dns = { subnet: "10.50.0.0/24", upstreams: [], maxTtl: 120, reservedStatic: 0, rateLimit: 0 };
    const config = egress(pool(["2001:db8::a"]), { dns });
    const { warnings } = desire(config, facts, 1, defaultBehaviour, maxMappings);
    assert.equal(warnings.length, said ? 1 : 0);
    if (said) assert.match(warnings[0]!, /^--max-mappings 255: .* 10\.50\.0\.0\/24 has 256 addresses: /);
  });

test("MTUs of routes: to every worker, whether or not something is in force; too many are said", () => {
  const routeMtus = Array.from({ length: 256 }, (_, index) => ({ to: `2001:db8:${index}::/48`, mtu: 1400 }));
  for (const of of [undefined, egress(pool(["2001:db8::a"]))]) {
    const { settings, warnings } = desire(of, { ...facts, routeMtus, routeMtusLeftOut: 0 }, 1);
    for (const each of settings) assert.deepEqual(each.routeMtus, routeMtus);
    assert.deepEqual(warnings, []);
  }
  const { warnings } = desire(egress(pool(["2001:db8::a"])), { ...facts, routeMtus, routeMtusLeftOut: 2 }, 1);
  assert.match(warnings.join(), /258 routes have an MTU of their own, and 256 .* the 2 with the shortest/);
});

test("automap: aliases differ, return traffic is matched at the alias, the address itself is not routed", () => {
  const { plan, settings } = desire(egress(automap), facts, 2);
  assert.deepEqual(plan.snatPool, []);
  assert.equal(new Set(plan.automap.map(({ alias }) => alias)).size, 4);
  for (const { address, alias, worker, ports } of plan.automap)
    assert.ok(
      settings[worker]?.pool.some(
        (each) => each.address === address && each.inbound === alias && each.firstPort === ports[0],
      ),
    );
});

test("automap with a self IP that the host lacks: routed like a pool address, all ports", () => {
  const { plan, settings } = desire(egress(automap, { automapAddresses: ["198.51.100.7"] }), facts, 1);
  assert.deepEqual(plan.automap, []);
  assert.deepEqual(plan.snatPool, [{ address: "198.51.100.7", worker: 0 }]);
  assert.deepEqual(settings[0]?.pool, [
    { address: "198.51.100.7", inbound: "198.51.100.7", firstPort: 1024, lastPort: 65535 },
  ]);
});

test("automap without an address of a family, and without a port: said", () => {
  const four = { ...facts, external: [{ ...facts.external[0]!, addresses: ["192.0.2.1/24"] }] };
  assert.match(
    desire(egress(automap, { dualStack: true }), four, 1).warnings.join(),
    /no IPv6 address on external/,
  );
  assert.deepEqual(desire(egress(automap), four, 1).warnings, []);
  const { automapPorts: _, ...portless } = facts;
  assert.match(
    desire(egress(automap), portless, 1).warnings.join(),
    /every port of 192\.0\.2\.1 is the host's own/,
  );
});

for (const [name, addresses, defaultSources, expected] of [
  ["the first that is no Pods' side", ["10.244.0.1/16", "10.60.0.1/24", "10.61.0.1/24"], [], ["10.60.0.1"]],
  [
    "the default route's source",
    ["10.244.0.1/16", "10.60.0.1/24", "10.61.0.1/24"],
    ["10.61.0.1"],
    ["10.61.0.1"],
  ],
  ["not a source on the Pods' side", ["10.244.0.1/16", "10.60.0.1/24"], ["10.244.0.1"], ["10.60.0.1"]],
  ["a source that no external interface has", ["10.60.0.1/24"], ["192.0.2.99"], ["192.0.2.99"]],
  [
    "each family by itself",
    ["10.60.0.1/24", "fd00:1::1/64", "2001:db8::1/64"],
    ["2001:db8::1"],
    ["10.60.0.1", "2001:db8::1"],
  ],
  ["none", ["10.244.0.1/16"], [], []],
] as const)
  test(`automap takes ${name}`, () => {
    const external = [{ name: "one", mtu: 1500, addresses }];
    const { plan, warnings } = desire(egress(automap), { ...facts, external, defaultSources }, 1);
    assert.deepEqual(
      plan.automap.map(({ address }) => address),
      expected,
    );
    assert.match(warnings.join(), expected.length > 0 ? /^$/ : /every IPv4 address of one is in an internal/);
  });

for (const [rateLimit, workers, share] of [
  [0, 4, undefined],
  [1000, 1, undefined],
  [1000, 4, 250],
  [1, 2, 1],
] as const)
  test(`dnsRateLimit ${rateLimit}, ${workers} workers: ${share ? "the share of each is said" : "nothing to say"}`, () => {
    const dns = { subnet: "10.50.0.0/24", upstreams: [], maxTtl: 120, reservedStatic: 0, rateLimit };
    const { warnings } = desire(egress(sharedPool(["2001:db8::a"]), { dns }), facts, workers);
    const said = warnings.filter((text) => text.startsWith(`dnsRateLimit ${rateLimit}: `));
    assert.equal(said.length, share === undefined ? 0 : 1);
    if (share !== undefined) assert.match(said[0]!, new RegExp(`workers lets ${share} questions`));
  });

for (const [upstream, said] of [
  ["192.0.2.2", true],
  ["10.244.1.1", true],
  ["192.0.2.53", false],
] as const)
  test(`upstream ${upstream}: ${said ? "said to be the gateway's own" : "nothing to say"}`, () => {
    const dns = {
      subnet: "10.244.50.0/24",
      upstreams: [upstream],
      maxTtl: 77,
      reservedStatic: 5,
      rateLimit: 0,
    };
    const { warnings } = desire(egress(pool(["2001:db8::a"]), { dns }), facts, 1);
    assert.equal(
      warnings.some((text) => text.includes(`dnsNat46PoolIps: ${upstream} is an address of this gateway`)),
      said,
    );
  });

test("SRC_TRANS_NONE: no SNAT address, so nothing can leave", () => {
  const desired = desire(egress({ kind: "none" }), facts, 1);
  assert.deepEqual(addressesOf(desired), [[]]);
  assert.equal(desired.warnings.length, 1);
});

test("NAT64: prefix to the TUN and to every engine, whatever dualStack is", () => {
  const six = { ...facts, internalNets: [...facts.internalNets, "fd00::/64"] };
  const { plan, settings, warnings } = desire(egress(automap, { nat64: "64:ff9b::/96" }), six, 2);
  assert.deepEqual(plan.natSubnets, ["64:ff9b::/96"]);
  assert.deepEqual(
    settings.map(({ nat64, natSubnets, dualStack }) => [nat64, natSubnets, dualStack]),
    [
      ["64:ff9b::/96", [], false],
      ["64:ff9b::/96", [], false],
    ],
  );
  assert.deepEqual(warnings, []);
});

for (const [name, internalNets, nat64, expected] of [
  ["no IPv6 inside", ["10.244.0.0/16"], "64:ff9b::/96", /no internal network has IPv6/],
  ["beside the Pods", ["fd00:1::/64"], "fd00::/32", /^$/],
  [
    "the Pods are in it",
    ["fd00:0:1::/64"],
    "fd00::/32",
    /fd00::\/32 holds the internal network fd00:0:1::\/64/,
  ],
] as const)
  test(`NAT64 ${nat64}, Pods in ${internalNets}: ${name}, ${expected.source === "^$" ? "nothing to say" : "said"}`, () => {
    const { warnings } = desire(egress(automap, { nat64 }), { ...facts, internalNets }, 1);
    assert.match(warnings.join(), expected);
  });

test("DNS46: subnet to the TUN, interception, pool and proxy", () => {
  const dns = {
    subnet: "10.244.50.0/24",
    upstreams: ["192.0.2.53"],
    sorryIp: "192.0.2.80",
    maxTtl: 77,
    reservedStatic: 5,
    rateLimit: 0,
  };
  const desired = desire(egress(automap, { dns }), facts, 1);
  assert.deepEqual(desired.plan.natSubnets, [dns.subnet]);
  assert.ok(desired.plan.dnsIntercept && desired.settings[0]?.dns);
  const { upstreams, subnet, sorryIp } = dns;
  assert.deepEqual(desired.dns, { upstreams, subnet, maxTtl: 77, sorryIp });
  assert.deepEqual(desired.mappingPool, { subnet: dns.subnet, reserved: 5, maxTtl: 77 });
});

for (const [rateLimit, workers, each] of [
  [0, 2, undefined],
  [1000, 1, 1000],
  [1000, 3, 334],
  [1, 4, 1],
  [4_294_967_295, 2, 2_147_483_648],
] as const)
  test(`dnsRateLimit ${rateLimit} with ${workers} workers: ${each ?? "no limit"} each`, () => {
    const dns = {
      ...{ subnet: "10.244.50.0/24", upstreams: ["192.0.2.53"], maxTtl: 77, reservedStatic: 5 },
      rateLimit,
    };
    const { settings, dnsRateLimit } = desire(egress(automap, { dns }), facts, workers);
    assert.equal(dnsRateLimit, rateLimit);
    assert.deepEqual(
      settings.map(({ dnsRate }) => dnsRate),
      Array.from({ length: workers }, () => each),
    );
  });
