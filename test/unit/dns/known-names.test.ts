/** Names that one gateway noted, and that another answers by when no upstream answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KnownNames } from "../../../src/dns/known-names.ts";
import { defaultPolicy } from "../../../src/dns/policy.ts";
import { askProxy } from "../../support/dns-client.ts";
import { startTestGateway, type TestGatewayOptions } from "../../support/dns-gateway.ts";

/** Nobody answers there: the address is for documentation. */
const mute = { upstreams: ["192.0.2.1"] };

function shared(): KnownNames & { readonly table: Map<string, readonly string[]> } {
  const table = new Map<string, readonly string[]>();
  return {
    table,
    noteName: (name, hosts) => void table.set(name, hosts),
    hostsOfName: async (name) => table.get(name) ?? [],
  };
}

test("what is noted: names that got an address, in lower case, with their hosts", async () => {
  const names = shared();
  const gateway = await startTestGateway({ names });
  for (const name of ["V6only.Example", "alias.example", "dual.example", "v4only.example", "nodata.example"])
    await askProxy(gateway.proxy, { name });
  await askProxy(gateway.proxy, { name: "several.example", type: "AAAA" });
  assert.deepEqual(Object.fromEntries(names.table), {
    "v6only.example": ["2001:db8:46::80"],
    "alias.example": ["2001:db8:46::80"],
  });
  await gateway.close();
});

const host = "2001:db8:46::80";
const cases: readonly [
  why: string,
  asked: Parameters<typeof askProxy>[1],
  options: TestGatewayOptions,
  answered: readonly string[] | string,
][] = [
  ["a known name", { name: "known.example" }, {}, ["A 10.46.0.1", `AAAA ${host}`]],
  ["in other letters", { name: "KNOWN.example" }, {}, ["A 10.46.0.1", `AAAA ${host}`]],
  [
    "answers without AAAA",
    { name: "known.example" },
    { policy: { ...defaultPolicy, answer: "a" } },
    ["A 10.46.0.1"],
  ],
  ["an unknown name", { name: "unknown.example" }, {}, "SERVFAIL"],
  ["AAAA", { name: "known.example", type: "AAAA" }, {}, "SERVFAIL"],
  [
    "an excluded name",
    { name: "known.example" },
    { policy: { ...defaultPolicy, excludeNames: ["example"] } },
    "SERVFAIL",
  ],
  [
    "an excluded host",
    { name: "known.example" },
    { policy: { ...defaultPolicy, excludeHosts: ["2001:db8:46::/48"] } },
    "SERVFAIL",
  ],
  ["a store out of reach", { name: "unstored.example" }, {}, "SERVFAIL"],
];

for (const [why, asked, options, answered] of cases)
  test(`no upstream answers, ${why}: ${Array.isArray(answered) ? "an answer of 30 s" : answered}`, async () => {
    const names = shared();
    names.table.set("known.example", [host]);
    const hostsOfName = async (name: string) => {
      if (name.startsWith("unstored")) throw new Error("away");
      return names.hostsOfName(name);
    };
    const gateway = await startTestGateway({ names: { ...names, hostsOfName }, config: mute, ...options });
    const reply = await askProxy(gateway.proxy, asked);
    if (typeof answered === "string") assert.deepEqual([reply.packet.rcode, reply.answers], [answered, []]);
    else {
      assert.deepEqual([reply.packet.rcode, reply.answers], ["NOERROR", answered]);
      for (const record of reply.packet.answers ?? []) assert.equal((record as { ttl?: number }).ttl, 30);
      assert.equal(gateway.proxy.stats().responsesBySource[0]?.source, "stale");
    }
    await gateway.close();
  });
