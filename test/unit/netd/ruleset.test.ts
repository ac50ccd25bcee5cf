import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Host } from "../../../src/netd/host.ts";
import type { NetworkPlan } from "../../../src/netd/protocol.ts";
import { ruleset } from "../../../src/netd/ruleset.ts";

const host: Host = {
  internal: ["in0"],
  external: ["ex0"],
  internalNets: ["10.244.0.0/16", "10.244.1.0/24", "fd00::/48"],
  tuns: ["eg46-0"],
  connected: [],
  ipv6: true,
};
const plan: NetworkPlan = { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
const pool = [{ address: "192.0.2.7", worker: 0 }];

/** The rules of a chain. */
function chain(name: string, on: Host, of: NetworkPlan): string[] {
  const body = new RegExp(`chain ${name} \\{\\n.*policy accept;\\n([\\s\\S]*?) {2}\\}`).exec(
    ruleset(on, of),
  )?.[1];
  return (body ?? "")
    .split("\n")
    .filter(Boolean)
    .map((line) => line.trim());
}

describe("nft ruleset", () => {
  test("guard: by interface and by source, without overlapping intervals; egress addresses only out of a TUN", () =>
    assert.deepEqual(chain("guard", host, { ...plan, snatPool: pool }), [
      'iifname { "eg46-0" } ip saddr { 192.0.2.7 } accept',
      'iifname { "in0" } oifname { "ex0" } counter name guard drop',
      'iifname { "ex0" } oifname { "eg46-0" } ip saddr { 10.244.0.0/16 } counter name guard drop',
      'iifname { "ex0" } oifname { "eg46-0" } ip6 saddr { fd00::/48 } counter name guard drop',
      'oifname { "ex0" } ip saddr { 10.244.0.0/16 } counter name guard drop',
      'oifname { "ex0" } ip6 saddr { fd00::/48 } counter name guard drop',
    ]));
  test("guard on one interface: Pods among themselves pass", () =>
    assert.deepEqual(chain("guard", { ...host, internal: ["ex0"], internalNets: ["10.244.0.0/16"] }, plan), [
      'oifname { "ex0" } ip saddr { 10.244.0.0/16 } ip daddr { 10.244.0.0/16 } accept',
      'oifname { "ex0" } ip saddr { 10.244.0.0/16 } counter name guard drop',
    ]));
  test("automap: ports, echo identifiers, quoted source ports", () => {
    const route = { address: "192.0.2.2", alias: "100.64.46.1", worker: 0, ports: [20000, 29999] } as const;
    const [, ...rules] = chain("automap", host, { ...plan, automap: [route] });
    assert.equal(rules.length, 4);
    for (const rule of rules) {
      assert.match(
        rule,
        /^iifname \{ "ex0" \} ip daddr 192\.0\.2\.2 .* 20000-29999 ip daddr set 100\.64\.46\.1 accept$/,
      );
    }
  });
  for (const [address, alias, match] of [
    [
      "192.0.2.2",
      "100.64.46.1",
      "ip daddr 192.0.2.2 ip frag-off & 0x3fff != 0 meta l4proto { tcp, udp, icmp } ip",
    ],
    [
      "2001:db8::2",
      "fd46::1",
      "ip6 daddr 2001:db8::2 exthdr frag exists meta l4proto { tcp, udp, ipv6-icmp } ip6",
    ],
  ] as const)
    test(`automap: fragments to ${address}, first of all, when there is one worker; else later ones are the host's`, () => {
      const automap = [{ address, alias, worker: 0, ports: [20000, 29999] }] as const;
      const rules = (workers: number) => chain("automap", host, { ...plan, workers, automap });
      assert.equal(rules(1)[0], `iifname { "ex0" } ${match} daddr set ${alias} accept`);
      assert.deepEqual(rules(2).slice(0, 2), [
        "ip frag-off & 0x1fff != 0 accept",
        "frag frag-off != 0 accept",
      ]);
      assert.ok(
        rules(2)
          .slice(2)
          .every((rule) => !rule.includes("frag")),
      );
    });
  const shared = {
    addresses: ["192.0.2.7", "2001:db8::7"],
    slices: [
      { worker: 0, ports: [1024, 33279] },
      { worker: 1, ports: [33280, 65535] },
    ],
  } as const;
  /** The lines of a chain that has no hook. */
  const lines = (name: string, of: NetworkPlan) =>
    new RegExp(`chain ${name} \\{\\n([\\s\\S]*?) {2}\\}\\n`)
      .exec(ruleset(host, of))![1]!
      .trim()
      .split(/\n\s*/);
  test("shared addresses: later fragments by the first one, the rest by port; the first worker needs no mark", () => {
    const of = { ...plan, workers: 2, shared };
    assert.deepEqual(lines("shared-later", of), [
      "ip frag-off & 0x1fff != 0 ip saddr . ip daddr . ip id . ip protocol @pieces4-1 meta mark set 46001",
      "frag frag-off != 0 ip6 saddr . ip6 daddr . frag id @pieces6-1 meta mark set 46001",
    ]);
    const rules = lines("shared-ports", of);
    assert.deepEqual(rules.slice(0, 4), [
      "ip frag-off & 0x1fff != 0 goto shared-later",
      "frag frag-off != 0 goto shared-later",
      "meta l4proto { tcp, udp } meta mark set th dport map { 33280-65535 : 46001 }",
      "icmp type { echo-reply, echo-request } meta mark set icmp id map { 33280-65535 : 46001 }",
    ]);
    assert.deepEqual(rules.slice(-2), [
      "ip frag-off & 0x3fff != 0 goto shared-first",
      "exthdr frag exists goto shared-first",
    ]);
    assert.equal(rules.length, 11, "echoes and two kinds of errors of each family");
    for (const rule of rules) assert.doesNotMatch(rule, /1024|46000/);
  });
  test("shared addresses: as many rules a packet with 64 workers as with 2", () => {
    const slices = Array.from({ length: 64 }, (_, worker) => {
      const first = 1024 + worker * 1008;
      return { worker, ports: [first, first + 1007] as const };
    });
    const of = { ...plan, workers: 64, shared: { ...shared, slices } };
    assert.equal(lines("shared-ports", of).length, 11);
  });
  test("shared addresses: what comes from outside and out of a TUN", () =>
    assert.deepEqual(chain("shared", host, { ...plan, workers: 2, shared }), [
      'iifname { "ex0", "eg46-0" } ip daddr { 192.0.2.7 } jump shared-ports',
      'iifname { "ex0", "eg46-0" } ip6 daddr { 2001:db8::7 } jump shared-ports',
    ]));
  test("shared addresses on one interface: what comes from Pods stays with their own worker", () => {
    const one = { ...host, internal: ["ex0"], internalNets: ["10.244.0.0/16"] };
    const of = { ...plan, workers: 2, shared: { ...shared, addresses: ["192.0.2.7"] } };
    assert.deepEqual(chain("shared", one, of), [
      'iifname { "eg46-0" } ip daddr { 192.0.2.7 } jump shared-ports',
      'iifname { "ex0" } ip saddr 10.244.0.0/16 return',
      'iifname { "ex0" } ip daddr { 192.0.2.7 } jump shared-ports',
    ]);
  });
  test("workers: spread only when there are several", () => {
    assert.deepEqual(chain("workers", host, plan), []);
    assert.equal(
      chain("workers", host, { ...plan, workers: 3 })[0],
      'iifname { "in0" } meta mark set jhash ip saddr mod 3 seed 0x46 offset 4600',
    );
  });
  test("DNS: on a shared interface Pods only", () => {
    assert.deepEqual(chain("dns", host, { ...plan, dnsIntercept: true }), []);
    const shared = { ...host, internal: ["ex0"], internalNets: ["10.244.0.0/16"] };
    assert.deepEqual(chain("dns", shared, { ...plan, dnsIntercept: true }), [
      'iifname { "ex0" } meta l4proto { tcp, udp } th dport 53 ip saddr { 10.244.0.0/16 } accept',
      'iifname { "ex0" } meta l4proto { tcp, udp } th dport 53 drop',
    ]);
  });
  test("no rule that would load connection tracking", () =>
    assert.doesNotMatch(
      ruleset(host, { ...plan, workers: 2, dnsIntercept: true }),
      /\bct\b|nat|redirect|masquerade/,
    ));
});
