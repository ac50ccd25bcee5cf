/** Cached answers as a Pod gets them: by packets from its worker's engine, by sockets from the gateway. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { eventually, type GatewayLab, gatewayLab, poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig");
/** Nobody has it: like any address it is answered for. */
const resolver6 = "2001:db8:53::53";

async function counters(lab: GatewayLab): Promise<Record<string, number>> {
  const text = await lab.topology.gateway.run(["curl", "-sS", "http://127.0.0.1:9046/metrics"]);
  const sums: Record<string, number> = {};
  for (const [, name = "", cache, value] of text.matchAll(/^egress46_dns_(\w+)\{cache="(\w+)".*\} (\d+)$/gm))
    sums[`${cache} ${name}`] = (sums[`${cache} ${name}`] ?? 0) + Number(value);
  sums.questions = 0;
  for (const [, value] of text.matchAll(/^egress46_dns_requests_total\{.*\} (\d+)$/gm))
    sums.questions += Number(value);
  return sums;
}

test("the second answer comes from the cache", tools, async (t) => {
  const lab = await gatewayLab(t, { podIpv6: true, resources: { "egress.yaml": poolResource } });
  const [pod] = lab.topology.pods;
  const dig = async (server: string, name: string, ...options: string[]) => {
    const plain = ["+nocookie", "+tries=1", "+time=4", "+noall", "+answer", "+comments"];
    const text = await pod.run(["dig", ...plain, ...options, `@${server}`, name, "A"]);
    const ttls = [...text.matchAll(/\s(\d+)\s+IN\s/g)].map(([, ttl]) => Number(ttl));
    const shape = text.replace(/, id: \d+/, "").replace(/\s\d+(?=\s+IN\s)/g, "");
    return { shape, ttls, nat4: /\sA\s+(\S+)/.exec(text)?.[1] ?? "" };
  };

  for (const [why, server, name, options, cache] of [
    ["UDP over IPv4, DNS46", labAddresses.resolver, "v6only.example", [], "worker"],
    ["UDP over IPv6, DNS46", resolver6, "many.example", [], "worker"],
    ["UDP over IPv4, A", labAddresses.resolver, "v4only.example", [], "worker"],
    ["UDP without EDNS", labAddresses.resolver, "dual.example", ["+noedns"], "worker"],
    ["UDP, no such name", labAddresses.resolver, "nosuch.example", [], "worker"],
    ["TCP over IPv4, DNS46", labAddresses.resolver, "www.example", ["+tcp"], "gateway"],
    ["TCP over IPv6, DNS46", resolver6, "manual.example", ["+tcp"], "gateway"],
    ["UDP to the gateway's own address", pod.gateway4, "alias.example", [], "gateway"],
  ] as const)
    await t.test(why, async () => {
      const first = await dig(server, name, ...options);
      const before = await counters(lab);
      const { length } = lab.internet.exchanges;
      await sleep(1100);
      const second = await dig(server, name, ...options);
      assert.equal(second.shape, first.shape);
      for (const [index, ttl] of second.ttls.entries()) {
        const age = first.ttls[index]! - ttl;
        assert.ok(age >= 1 && age <= 10, `TTL ${first.ttls[index]} then ${ttl}`);
      }
      const after = await counters(lab);
      assert.equal(after[`${cache} cache_hits_total`]! - before[`${cache} cache_hits_total`]!, 1);
      assert.equal(after.questions! - before.questions!, 1, "it counts as a question");
      assert.equal(lab.internet.exchanges.length, length, "nothing went upstream");
    });

  await t.test("a Pod reaches the host by the cached address", async () => {
    assert.match(await pod.run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]), /Welcome/);
  });

  await t.test("a mapping that is removed takes its answer along", async () => {
    const { nat4 } = await dig(labAddresses.resolver, "v6only.example");
    await lab.command("mappings", "rm", nat4, "--store", lab.store);
    const { length } = lab.internet.exchanges;
    for (let tries = 0; lab.internet.exchanges.length === length; tries++) {
      assert.ok(tries < 50, "the upstream is asked again");
      await dig(labAddresses.resolver, "v6only.example");
      await sleep(100);
    }
  });

  await t.test(
    "dnsRateLimit, applied live: what is beyond is dropped and counted, hits and all",
    async () => {
      writeFileSync(
        join(lab.resources, "egress.yaml"),
        poolResource.replace("spec:", "spec:\n  dnsRateLimit: 20\n  maxDNS46TTL: 7"),
      );
      while (!lab.gateway.stderr().includes("dnsRateLimit")) await sleep(50);
      // The log tells of the main thread; the worker hears of it a moment later.
      await eventually("what was cached under the old configuration is gone", async () => {
        const { ttls } = await dig(labAddresses.resolver, "v6only.example");
        return ttls[0]! <= 7;
      });
      await sleep(1100);
      await dig(labAddresses.resolver, "v4only.example", "+noedns");
      const flood = `
      const q = Buffer.from("000101000001000000000000067634" + "6f6e6c79076578616d706c650000010001", "hex");
      const s = require("node:dgram").createSocket("udp4");
      let answers = 0;
      s.on("message", () => answers++);
      for (let i = 0; i < 200; i++) s.send(q, 53, "${labAddresses.resolver}");
      setTimeout(() => { console.log(answers); s.close(); }, 300);`;
      const answers = Number(await pod.run([process.execPath, "-e", flood]));
      assert.ok(answers > 0 && answers <= 27, `${answers} answers`);
      assert.ok((await lab.drops()).DNS_RATE_LIMITED! >= 150);
    },
  );
});

test("--dns-cache off: the upstream is asked each time", tools, async (t) => {
  const lab = await gatewayLab(t, { args: ["--dns-cache", "off"] });
  const dig = ["dig", "+nocookie", "+short", "v4only.example", "A"];
  for (let round = 1; round <= 3; round++) {
    const { length } = lab.internet.exchanges;
    await lab.topology.pods[0].run(dig);
    assert.ok(lab.internet.exchanges.length > length);
  }
  const { "worker cache_entries": worker, "gateway cache_entries": gateway } = await counters(lab);
  assert.deepEqual([worker, gateway], [0, 0]);
});
