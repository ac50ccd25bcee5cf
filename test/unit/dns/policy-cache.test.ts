/** The operator's rules in front of a cache: nobody gets another client's answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnswerCache } from "../../../src/dns/cache.ts";
import { dig } from "../../../src/dns/dig.ts";
import { textToName } from "../../../src/dns/name.ts";
import { defaultPolicy } from "../../../src/dns/policy.ts";
import { askProxy } from "../../support/dns-client.ts";
import { startTestGateway } from "../../support/dns-gateway.ts";

const excluded = "10.9.1.1";
const other = "10.1.1.1";

test("with excluded clients, what depends on the client is not remembered, and the rest is", async (t) => {
  const policy = { ...defaultPolicy, excludeClients: ["10.9.0.0/16"] };
  const gateway = await startTestGateway({ policy, cache: createAnswerCache(1 << 20) });
  t.after(() => gateway.close());
  const made = async (client: string) =>
    (await askProxy(gateway.proxy, { name: "v6only.example", client })).answers.length;
  for (const client of [other, excluded, other, excluded])
    assert.equal(await made(client), client === other ? 2 : 0, client);
  const sources = () =>
    gateway.proxy.stats().responsesBySource.map(({ source, count }) => `${source} ${count}`);
  assert.deepEqual(sources().sort(), ["synthesized 2", "upstream 2"]);
  for (const client of [other, excluded])
    await askProxy(gateway.proxy, { name: "v6only.example", type: "AAAA", client });
  assert.ok(sources().includes("cache 1"), sources().join());
});

test("without, an answer that DNS46 made is remembered, and counted as a question of its type", async (t) => {
  const gateway = await startTestGateway({ cache: createAnswerCache(1 << 20) });
  t.after(() => gateway.close());
  const first = await askProxy(gateway.proxy, { name: "v6only.example" });
  const second = await askProxy(gateway.proxy, { name: "v6only.example" });
  assert.deepEqual(second.answers, first.answers);
  const { requests, responsesBySource } = gateway.proxy.stats();
  assert.equal(requests.find(({ type, proto }) => type === "A" && proto === "udp")?.count, 2);
  assert.deepEqual(responsesBySource, [
    { rcode: "NOERROR", source: "synthesized", count: 1 },
    { rcode: "NOERROR", source: "cache", count: 1 },
  ]);
  const asked = gateway.upstream.exchanges.length;
  const { steps } = await dig(gateway.proxy, {
    name: textToName("v6only.example"),
    type: 1,
    transport: "udp",
  });
  assert.equal(steps.filter(({ step }) => step === "upstream").length, 4, "dig asks, whatever is remembered");
  assert.equal(gateway.upstream.exchanges.length, asked + 2);
});
