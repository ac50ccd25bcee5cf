import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { formatChange, planChange } from "../../../src/config/plan.ts";
import type { EgressConfig, Snat } from "../../../src/config/resolve.ts";

const pool = (lists: string[][], more: object = {}): Snat => ({
  kind: "pool",
  name: "p",
  lists,
  shared: false,
  ...more,
});
const dns = {
  subnet: "10.244.50.0/24",
  upstreams: ["10.0.0.1", "10.0.0.2"],
  maxTtl: 120,
  reservedStatic: 0,
  rateLimit: 0,
};
const base: EgressConfig = {
  name: "a",
  namespace: "n",
  dualStack: false,
  snat: pool([["1.1.1.1", "1.1.1.2"], ["1.1.1.3"]]),
  dns,
  automapAddresses: [],
  debugLog: false,
};
const { dns: _, ...plain } = base;

const rows: [
  name: string,
  old: EgressConfig | undefined,
  next: EgressConfig | undefined,
  ...changes: string[],
][] = [
  ["nothing at all", undefined, undefined],
  ["equal", base, structuredClone(base)],
  ["start", undefined, base, "egress: start"],
  ["stop", base, undefined, "egress: stop"],
  ["another resource with the same settings", base, { ...base, name: "b" }, "identity: n/a -> n/b"],
  ["dualStack", base, { ...base, dualStack: true }, "dualStack: false -> true"],
  ["debugLog", base, { ...base, debugLog: true }, "debugLog: false -> true"],
  ["NAT64 on", base, { ...base, nat64: "64:ff9b::/96" }, "nat64: undefined -> 64:ff9b::/96"],
  ["DNS off", base, plain, "dns: stop"],
  ["DNS on", plain, base, "dns: start"],
  [
    "upstream added",
    base,
    { ...base, dns: { ...dns, upstreams: [...dns.upstreams, "10.0.0.3"] } },
    "dnsUpstreams: +10.0.0.3",
  ],
  [
    "upstream replaced",
    base,
    { ...base, dns: { ...dns, upstreams: ["10.0.0.3", "10.0.0.2"] } },
    "dnsUpstreams: +10.0.0.3 -10.0.0.1",
  ],
  [
    "upstreams turned round",
    base,
    { ...base, dns: { ...dns, upstreams: dns.upstreams.toReversed() } },
    "dnsUpstreams: same addresses, arranged otherwise",
  ],
  [
    "subnet",
    base,
    { ...base, dns: { ...dns, subnet: "10.244.48.0/22" } },
    "dnsSubnet: 10.244.50.0/24 -> 10.244.48.0/22",
  ],
  ["sorry IP", base, { ...base, dns: { ...dns, sorryIp: "10.0.0.9" } }, "dnsSorryIp: undefined -> 10.0.0.9"],
  [
    "TTL, reserve and rate",
    base,
    { ...base, dns: { ...dns, maxTtl: 5, reservedStatic: 2, rateLimit: 9 } },
    "dnsMaxTtl: 120 -> 5",
    "dnsReservedStatic: 0 -> 2",
    "dnsRateLimit: 0 -> 9",
  ],
  [
    "pool address added",
    base,
    {
      ...base,
      snat: pool([
        ["1.1.1.1", "1.1.1.2"],
        ["1.1.1.3", "1.1.1.4"],
      ]),
    },
    "snatPool: +1.1.1.4",
  ],
  ["pool address removed", base, { ...base, snat: pool([["1.1.1.1"], ["1.1.1.3"]]) }, "snatPool: -1.1.1.2"],
  [
    "pool address moved to another worker",
    base,
    { ...base, snat: pool([["1.1.1.1"], ["1.1.1.2", "1.1.1.3"]]) },
    "snatPool: same addresses, arranged otherwise",
  ],
  [
    "pool shared",
    base,
    { ...base, snat: pool([["1.1.1.1", "1.1.1.2"], ["1.1.1.3"]], { shared: true }) },
    "snatPool: same addresses, arranged otherwise",
  ],
  ["pool renamed", base, { ...base, snat: { ...base.snat, name: "q" } as Snat }, "snatPoolName: p -> q"],
  [
    "pool to automap",
    base,
    { ...base, snat: { kind: "automap" } },
    "snatKind: pool -> automap",
    "snatPool: -1.1.1.1 -1.1.1.2 -1.1.1.3",
  ],
  [
    "automap to pool",
    { ...base, snat: { kind: "automap" }, automapAddresses: ["2.2.2.2"] },
    { ...base, snat: pool([["1.1.1.1"]]) },
    "snatKind: automap -> pool",
    "snatPool: +1.1.1.1",
    "automapAddresses: -2.2.2.2",
  ],
  [
    "automap to none",
    { ...base, snat: { kind: "automap" } },
    { ...base, snat: { kind: "none" } },
    "snatKind: automap -> none",
  ],
];

suite("planChange", () => {
  for (const [name, old, next, ...changes] of rows)
    test(name, () => assert.deepEqual(planChange(old, next).map(formatChange), changes));

  const address = fc.constantFrom("1.1.1.1", "1.1.1.2", "2001:db8::1");
  const addresses = fc.array(address, { maxLength: 3 });
  const config: fc.Arbitrary<EgressConfig> = fc.record(
    {
      name: fc.constantFrom("a", "b"),
      namespace: fc.constantFrom("m", "n"),
      dualStack: fc.boolean(),
      snat: fc.oneof(
        fc.constant<Snat>({ kind: "automap" }),
        fc.constant<Snat>({ kind: "none" }),
        fc.record({
          kind: fc.constant("pool" as const),
          name: fc.constantFrom("p", "q"),
          lists: fc.array(addresses, { maxLength: 2 }),
          shared: fc.boolean(),
        }),
      ),
      dns: fc.record({
        subnet: fc.constantFrom("10.0.0.0/24", "10.0.1.0/24"),
        upstreams: addresses,
        maxTtl: fc.nat(1),
        reservedStatic: fc.nat(1),
        rateLimit: fc.nat(1),
      }),
      automapAddresses: addresses,
      debugLog: fc.boolean(),
    },
    { requiredKeys: ["name", "namespace", "dualStack", "snat", "automapAddresses", "debugLog"] },
  );

  test("there are changes exactly when the configurations differ", () => {
    fc.assert(
      fc.property(config, config, (old, next) => {
        assert.equal(planChange(old, next).length === 0, isDeepStrictEqual(old, next));
        assert.deepEqual(planChange(old, structuredClone(old)), []);
      }),
    );
  });
});
