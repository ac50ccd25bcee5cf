import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import dnsPacket from "dns-packet";
import { pino } from "pino";
import { createDnsProxy, type DnsProxy } from "../../../src/dns/proxy.ts";
import { serveUdp } from "../../../src/dns/server.ts";
import { type LabDnsServer, startDnsServer, type Zone } from "../../../src/lab/dns-server.ts";
import { testZone } from "../../support/dns-names.ts";

const muteZone: Zone = { ...testZone, names: {} };
const everyName = (behaviour: "mute" | "servfail" | "refused"): Zone => ({
  ...muteZone,
  names: Object.fromEntries(Object.keys(testZone.names).map((name) => [name, { behaviour }])),
});
/** Members of 127.0.0.0/8 in the order of configuration; 'absent' has no server at all. */
const kinds = {
  good: testZone,
  mute: everyName("mute"),
  servfail: everyName("servfail"),
  refused: everyName("refused"),
};
type Kind = keyof typeof kinds | "absent";

async function withUpstreams(
  members: readonly Kind[],
  work: (proxy: DnsProxy, servers: readonly (LabDnsServer | undefined)[], port: number) => Promise<void>,
): Promise<void> {
  // Below those that the kernel gives to clients.
  const port = randomInt(10_000, 32_000);
  const servers = await Promise.all(
    members.map((kind, index) =>
      kind === "absent"
        ? undefined
        : startDnsServer({ address: `127.0.0.${index + 1}`, port, zone: kinds[kind] }),
    ),
  );
  const proxy = createDnsProxy({
    mapHost: async () => ({ kind: "mapped", nat4: "10.46.0.1" }),
    log: pino({ level: "silent" }),
    upstreamPort: port,
  });
  proxy.configure({ upstreams: members.map((_, index) => `127.0.0.${index + 1}`), maxTtl: 600 });
  try {
    await work(proxy, servers, port);
  } finally {
    proxy.close();
    await Promise.all(servers.map((server) => server?.close()));
  }
}

async function ask(proxy: DnsProxy, name: string): Promise<{ rcode: string; answers: number; ms: number }> {
  const startedAt = performance.now();
  const query = dnsPacket.encode({ type: "query", id: 7, flags: 256, questions: [{ name, type: "A" }] });
  const reply = dnsPacket.decode(Buffer.from((await proxy.handle(query, "udp")) ?? []));
  const rcode = (reply as unknown as { rcode: string }).rcode;
  return { rcode, answers: reply.answers?.length ?? 0, ms: performance.now() - startedAt };
}

describe("failover between upstreams", () => {
  const matrix: [members: Kind[], rcode: string, withinMs: number][] = [
    [["good"], "NOERROR", 3000],
    [["mute", "good"], "NOERROR", 3000],
    [["absent", "good"], "NOERROR", 3000],
    [["servfail", "good"], "NOERROR", 3000],
    [["refused", "good"], "NOERROR", 3000],
    [["mute", "absent", "servfail", "good"], "NOERROR", 3000],
    [["servfail", "mute"], "SERVFAIL", 3000],
    [["servfail", "refused"], "SERVFAIL", 3000],
    [["refused", "servfail"], "REFUSED", 3000],
    [["mute", "mute"], "SERVFAIL", 3000],
    [["absent"], "SERVFAIL", 3000],
    [[], "SERVFAIL", 3000],
  ];
  for (const [members, rcode, withinMs] of matrix)
    test(`${members.join(", ") || "none"}: ${rcode} within ${withinMs} ms`, () =>
      withUpstreams(members, async (proxy) => {
        const result = await ask(proxy, "v6only.example");
        assert.equal(result.rcode, rcode);
        assert.ok(result.ms < withinMs, `${result.ms} ms`);
      }));

  test("a mute first upstream is asked last after three questions, and costs nothing from then on", () =>
    withUpstreams(["mute", "good"], async (proxy) => {
      for (const name of ["v4only.example", "dual.example", "nodata.example"]) await ask(proxy, name);
      const times: number[] = [];
      for (let round = 0; round < 5; round++) times.push((await ask(proxy, "alias4.example")).ms);
      assert.ok(Math.min(...times) < 100, times.join(" "));
      assert.ok(proxy.healthy());
    }));

  test("an upstream that comes back is found without any client asking", () =>
    withUpstreams(["absent"], async (proxy, _, port) => {
      for (const name of ["v4only.example", "dual.example"]) await ask(proxy, name);
      assert.equal(proxy.healthy(), false);
      const server = await startDnsServer({ address: "127.0.0.1", port, zone: testZone });
      for (let waited = 0; waited < 50 && !proxy.healthy(); waited++) await sleep(100);
      assert.ok(proxy.healthy());
      await server.close();
    }));

  test("one broken name, asked for again and again, does not make the upstream sick", () =>
    withUpstreams(["good"], async (proxy) => {
      for (let round = 0; round < 10; round++) await ask(proxy, "servfail.example");
      assert.ok(proxy.healthy());
    }));

  test("configure while a question is in flight: it finishes; the next goes to the new upstream only", () =>
    withUpstreams(["good", "good"], async (proxy, servers) => {
      proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 600 });
      const slow = ask(proxy, "slow.example");
      await sleep(50);
      proxy.configure({ upstreams: ["127.0.0.2"], maxTtl: 600 });
      assert.equal((await slow).answers, 1);
      const before = servers[0]!.exchanges.length;
      assert.equal((await ask(proxy, "dual.example")).answers, 2);
      assert.equal(servers[0]!.exchanges.length, before);
    }));

  test("an upstream that the kernel refuses to send to, over IPv4 and IPv6: the next is asked at once", () =>
    withUpstreams(["good"], async (proxy) => {
      proxy.configure({ upstreams: ["255.255.255.255", "ff02::1", "127.0.0.1"], maxTtl: 600 });
      assert.equal((await ask(proxy, "v4only.example")).answers, 1);
    }));

  test("an upstream address that leads back to us: SERVFAIL, counted, said, no endless circle", async () => {
    const said: string[] = [];
    const listener = createSocket("udp4").bind(0, "127.0.0.1");
    await once(listener, "listening");
    const proxy = createDnsProxy({
      mapHost: () => Promise.reject(new Error("not asked")),
      log: pino({ level: "warn" }, { write: (line: string) => void said.push(line) }),
      upstreamPort: listener.address().port,
    });
    serveUdp(listener, proxy, () => true);
    proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 600 });
    for (const name of ["v4only.example", "v6only.example"])
      assert.equal((await ask(proxy, name)).rcode, "SERVFAIL");
    const loops = said.filter((line) => line.includes("sends our own questions back to this gateway"));
    assert.equal(loops.length, 1, "said once");
    const { questions, failures } = proxy.stats();
    assert.ok(failures.loop >= 1 && questions < 20, `${failures.loop} of ${questions}`);
    proxy.close();
    listener.close();
  });
});
