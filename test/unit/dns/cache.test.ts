/** The gateway's own cache in front of the proxy: what is remembered, for how long, and what is given in need. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TRUNCATED_RESPONSE } from "dns-packet";
import { pino } from "pino";
import { ipv4ToNumber } from "../../../src/addresses.ts";
import { type AnswerCache, createAnswerCache } from "../../../src/dns/cache.ts";
import { lifetimeOf } from "../../../src/dns/lifetime.ts";
import { scanMessage } from "../../../src/dns/message.ts";
import { withOrigin } from "../../../src/dns/origin.ts";
import type { HostMapping, Transport } from "../../../src/dns/proxy.ts";
import { createRateLimit } from "../../../src/dns/rate-limit.ts";
import { forgettingSink } from "../../../src/gateway/forgetting-sink.ts";
import type { ZoneName } from "../../../src/lab/dns-zone.ts";
import { type Asked, aged, answersOf, queryBytes, replyBytes, soa } from "../../support/dns-cache.ts";
import { startTestGateway, type TestGateway, type TestGatewayOptions } from "../../support/dns-gateway.ts";
import { testZone } from "../../support/dns-names.ts";

interface Scene {
  readonly gateway: TestGateway;
  readonly cache: AnswerCache;
  /** What the upstream says; may be changed. */
  readonly names: Record<string, ZoneName>;
  /** Asks, and asserts that there is a reply. */
  ask(asked: Asked, transport?: Transport): Promise<Buffer>;
  pass(seconds: number): void;
  /** How often the upstream was asked for the name; DNS46 asks for AAAA, too, which isn't counted. */
  asked(name: string): number;
}

async function scene(t: TestContext, options: TestGatewayOptions = {}): Promise<Scene> {
  let now = 1000;
  const cache = createAnswerCache(1 << 20, () => now);
  const names: Record<string, ZoneName> = { ...testZone.names };
  const gateway = await startTestGateway({ cache, zone: { ...testZone, names }, ...options });
  t.after(() => gateway.close());
  return {
    ...{ gateway, cache, names },
    async ask(asked, transport = "udp") {
      const reply = await gateway.proxy.handle(queryBytes(asked), transport);
      assert.ok(reply !== undefined, "a reply is due");
      return Buffer.from(reply);
    },
    pass(seconds) {
      now += seconds * 1000;
    },
    asked: (name) =>
      gateway.upstream.exchanges.filter((each) => each.name === name && each.type !== 28).length,
  };
}

const edns = { size: 1232 };
const rcodeOf = (reply: Uint8Array) => reply[3]! & 15;

describe("remembered: the second answer is the first, aged, without a question upstream", () => {
  const asked: readonly (readonly [string, Asked])[] = [
    ["A", { name: "v4only.example" }],
    ["A and AAAA", { name: "dual.example" }],
    ["through CNAMEs", { name: "alias4.example" }],
    ["a circle's NODATA with a SOA", { name: "nodata.example" }],
    ["NXDOMAIN", { name: "nosuch.example" }],
    ["AAAA", { name: "v6only.example", type: "AAAA" }],
    ["HTTPS", { name: "svc.example", type: "UNKNOWN_65" }],
    ["DNS46", { name: "v6only.example" }],
    ["DNS46 with EDNS and its text", { name: "several.example", edns }],
    ["DNS46 through CNAMEs", { name: "alias.example", edns: { size: 4096, dnssecOk: true } }],
  ];
  for (const [why, question] of asked)
    for (const transport of ["udp", "tcp"] as const)
      test(`${why}, over ${transport}`, async (t) => {
        const { gateway, ask, pass } = await scene(t);
        const first = await ask(question, transport);
        const { length } = gateway.upstream.exchanges;
        pass(5);
        const again = { ...question, id: 999, name: question.name.toUpperCase() };
        assert.deepEqual(await ask(again, transport), aged(first, queryBytes(again), 5));
        assert.equal(gateway.upstream.exchanges.length, length);
        const { questions, responses } = gateway.proxy.stats();
        assert.deepEqual([questions, Object.values(responses)], [2, [2]], "both count");
      });

  test("an answer by TCP serves UDP where it fits, and the other way round", async (t) => {
    const { ask, asked } = await scene(t);
    await ask({ name: "big.example", type: "TXT", edns }, "tcp");
    assert.ok(((await ask({ name: "big.example", type: "TXT", edns }))[2]! & 2) !== 0, "cut: it doesn't fit");
    assert.equal(asked("big.example"), 3, "UDP, TCP, UDP");
    await ask({ name: "v4only.example" });
    await ask({ name: "v4only.example" }, "tcp");
    assert.equal(asked("v4only.example"), 1);
  });
});

describe("not remembered", { concurrency: true }, () => {
  // SERVFAIL and REFUSED are the failure cache's, not this one's.
  for (const name of ["cut.example", "dangling.example", "aaaafail.example"])
    test(name, async (t) => {
      const { ask, asked } = await scene(t);
      await ask({ name });
      const before = asked(name);
      await ask({ name });
      // A dangling CNAME ends in NXDOMAIN with a SOA, which says how long.
      if (name === "dangling.example") assert.equal(asked(name), before);
      else assert.ok(asked(name) > before);
    });

  for (const [why, change] of [
    ["a mapping went", (cache: AnswerCache) => cache.forget(1)],
    ["the configuration changed", (cache: AnswerCache) => cache.flush()],
  ] as const)
    test(`an answer that was under way when ${why}`, async (t) => {
      const { cache, names, ask, asked } = await scene(t);
      names["slow.example"] = { delayMs: 200, records: { A: ["192.0.2.12"] } };
      const reply = ask({ name: "slow.example" });
      while (asked("slow.example") === 0) await sleep(5);
      change(cache);
      assert.equal(cache.lifetime(await reply), undefined);
      const before = asked("slow.example");
      await ask({ name: "slow.example" });
      assert.ok(asked("slow.example") > before);
    });

  test("off: asked each time", async (t) => {
    const { ask, asked } = await scene(t, { cache: createAnswerCache(0) });
    await ask({ name: "v4only.example" });
    await ask({ name: "v4only.example" });
    assert.equal(asked("v4only.example"), 2);
  });

  test("DNS46 is off: no answer, cached or not", async (t) => {
    const { gateway, ask } = await scene(t);
    await ask({ name: "v4only.example" });
    gateway.proxy.configure(undefined);
    assert.equal(await gateway.proxy.handle(queryBytes({ name: "v4only.example" }), "udp"), undefined);
  });
});

describe("a DNS46 answer and its mapping", () => {
  const address = { kind: "mapped", nat4: "10.46.0.1" } as const;
  for (const [why, change, hits] of [
    ["gone: a new one is made", "10.46.0.1", false],
    ["another one gone: still good", "10.46.0.2", true],
  ] as const)
    test(why, async (t) => {
      const { cache, ask, asked } = await scene(t, { mapHost: async () => address });
      const first = await ask({ name: "v6only.example" });
      const before = asked("v6only.example");
      cache.forget(ipv4ToNumber(change));
      assert.deepEqual(await ask({ name: "v6only.example" }), first);
      assert.equal(asked("v6only.example") === before, hits);
    });

  test("the sorry IP for five seconds", async (t) => {
    let mapped: HostMapping = { kind: "exhausted" };
    const { ask, pass, asked } = await scene(t, {
      mapHost: async () => mapped,
      config: { sorryIp: "192.0.2.99" },
    });
    const sorry = await ask({ name: "v6only.example" });
    mapped = address;
    pass(4);
    assert.deepEqual(
      await ask({ name: "v6only.example" }),
      aged(sorry, queryBytes({ name: "v6only.example" }), 4),
    );
    pass(1);
    assert.notEqual((await ask({ name: "v6only.example" })).indexOf(Buffer.of(10, 46, 0, 1)), -1);
    assert.equal(asked("v6only.example"), 2);
  });

  test("the cache hears of mappings that go or change hands, not of new ones", async () => {
    const gone: number[] = [];
    const done = async () => {};
    const sink = forgettingSink({ install: done, remove: done }, (nat4) => gone.push(nat4));
    const host = new Uint8Array(16);
    await sink.install(1, host);
    await sink.install(2, host);
    assert.deepEqual(gone, []);
    await sink.install(1, host);
    await sink.remove(2);
    await sink.install(2, host);
    assert.deepEqual(gone, [1, 2]);
  });
});

describe("asked anew before it ends", () => {
  test("once, in the background", async (t) => {
    const { gateway, names, ask, pass, asked } = await scene(t);
    const question = { name: "v4only.example" };
    const first = await ask(question);
    names["v4only.example"] = { records: { A: ["192.0.2.44"] } };
    pass(269);
    await ask(question);
    assert.equal(asked(question.name), 1);
    pass(1);
    assert.deepEqual(await ask(question), aged(first, queryBytes(question), 270));
    await ask(question);
    while (asked(question.name) < 2) await sleep(5);
    await sleep(50);
    pass(100);
    assert.notEqual((await ask(question)).indexOf(Buffer.of(192, 0, 2, 44)), -1);
    assert.equal(asked(question.name), 2);
    assert.equal(gateway.proxy.stats().questions, 5, "the background's question is nobody's");
  });

  test("for a worker: what is young already serves, else the upstream is asked", async (t) => {
    const { gateway, cache, ask, pass, asked } = await scene(t);
    const question = queryBytes({ name: "v4only.example" });
    await ask({ name: "v4only.example" });
    pass(100);
    const young = await gateway.proxy.refresh(question);
    assert.deepEqual(cache.lifetime(young!), { seconds: 200, synthesized: false });
    assert.equal(asked("v4only.example"), 1);
    pass(175);
    const fresh = await gateway.proxy.refresh(question);
    assert.deepEqual([cache.lifetime(fresh!)?.seconds, asked("v4only.example")], [300, 2]);
  });
});

describe("asked anew for a cache", { concurrency: true }, () => {
  for (const name of ["v6only.example", "servfail.example"])
    test(`${name}: nothing is counted`, async (t) => {
      const { gateway } = await scene(t);
      const { synthesized, failures, questions } = gateway.proxy.stats();
      assert.ok((await gateway.proxy.refresh(queryBytes({ name }))) !== undefined);
      const later = gateway.proxy.stats();
      assert.deepEqual(
        [later.synthesized, later.failures, later.questions],
        [synthesized, failures, questions],
      );
    });

  test("no upstream: no failure is counted", async (t) => {
    const { gateway } = await scene(t, { config: { upstreams: [] } });
    await gateway.proxy.refresh(queryBytes({ name: "v4only.example" }));
    assert.equal(gateway.proxy.stats().failures.upstream, 0);
  });

  test("a bug is logged and counted", async (t) => {
    const said: string[] = [];
    const log = pino({ level: "error" }, { write: (line: string) => void said.push(line) });
    const { gateway } = await scene(t, {
      log,
      mapHost() {
        throw new Error("a bug");
      },
    });
    assert.equal(await gateway.proxy.refresh(queryBytes({ name: "v6only.example" })), undefined);
    assert.match(said.join(), /a DNS question met a bug/);
    assert.equal(gateway.proxy.stats().failures.internal, 1);
  });

  test("it takes its place among the questions under way", async (t) => {
    const { gateway, names } = await scene(t);
    names["slow.example"] = { delayMs: 200, records: { A: ["192.0.2.12"] } };
    const query = queryBytes({ name: "slow.example" });
    const refreshes = Array.from({ length: 4096 }, () => gateway.proxy.refresh(query));
    assert.equal(await gateway.proxy.handle(queryBytes({ name: "v4only.example" }), "udp"), undefined);
    assert.equal(gateway.proxy.stats().failures.overload, 1);
    await Promise.all(refreshes);
  });
});

test("what is remembered as a failure is the gateway's own to say", async (t) => {
  const { gateway, ask } = await scene(t);
  for (let round = 0; round < 2; round++) await ask({ name: "servfail.example" });
  assert.deepEqual(
    gateway.proxy.stats().responsesBySource.map(({ rcode, source, count }) => `${rcode} ${source} ${count}`),
    ["SERVFAIL upstream 1", "SERVFAIL local 1"],
  );
});

describe("stale answers (RFC 8767)", { concurrency: true }, () => {
  const question = { name: "v4only.example" };
  const silent: ZoneName = { behaviour: "mute" };
  for (const [why, behaviour] of [
    ["mute", silent],
    ["failing", { behaviour: "servfail" }],
    ["refusing", { behaviour: "refused" }],
  ] as const)
    test(`the upstream is ${why}: TTL 30, for a day, well before a client gives up`, async (t) => {
      const { cache, names, ask, pass } = await scene(t);
      const first = await ask(question);
      names[question.name] = behaviour;
      pass(300);
      const startedAt = performance.now();
      assert.deepEqual(await ask(question), aged(first, queryBytes(question), 300, 30));
      assert.ok(performance.now() - startedAt < 2500);
      assert.equal(cache.counts().stale, 1);
      if (behaviour === silent) return;
      pass(86_399);
      assert.equal(rcodeOf(await ask(question)), 0);
      pass(1);
      assert.notEqual(rcodeOf(await ask(question)), 0, "a day later it is forgotten");
    });

  test("an upstream that answers is heard, whatever there is", async (t) => {
    const { names, ask, pass } = await scene(t);
    await ask(question);
    names[question.name] = { behaviour: "nxdomain" };
    pass(300);
    assert.equal(rcodeOf(await ask(question)), 3);
  });

  test("a DNS46 answer whose mapping has gone stays away", async (t) => {
    const { cache, names, ask, pass } = await scene(t, {
      mapHost: async () => ({ kind: "mapped", nat4: "10.46.0.1" }),
      hostOf: async () => "2001:db8:46::80",
    });
    await ask({ name: "v6only.example" });
    names["v6only.example"] = { behaviour: "servfail" };
    pass(200);
    assert.equal(rcodeOf(await ask({ name: "v6only.example" })), 0);
    cache.forget(ipv4ToNumber("10.46.0.1"));
    assert.equal(rcodeOf(await ask({ name: "v6only.example" })), 2);
  });

  for (const [why, hostOf, mapped, given] of [
    ["stands", "2001:db8:46::80", "10.46.0.1", true],
    ["is another by now", "2001:db8:46::80", "10.46.0.2", false],
    ["has ended", undefined, "10.46.0.1", false],
    ["can't be asked for", "2001:db8:46::80", undefined, false],
  ] as const)
    test(`a DNS46 answer whose mapping ${why}: ${given ? "given, and the mapping used" : "not given"}`, async (t) => {
      let uses = 0;
      let nat4: string | undefined = "10.46.0.1";
      const { names, ask, pass } = await scene(t, {
        async mapHost(host6) {
          uses++;
          assert.equal(host6, "2001:db8:46::80");
          if (nat4 === undefined) throw new Error("the store is away");
          return { kind: "mapped", nat4 };
        },
        hostOf: async () => hostOf,
      });
      await ask({ name: "v6only.example" });
      names["v6only.example"] = { behaviour: "servfail" };
      pass(200);
      nat4 = mapped;
      assert.equal(rcodeOf(await ask({ name: "v6only.example" })), given ? 0 : 2);
      if (given) assert.equal(uses, 2);
    });
});

describe("lifetime", () => {
  const name = "a.example";
  const a = (ttl: number) => answersOf.A!(name, ttl);
  const cname = (ttl: number) => ({ type: "CNAME" as const, name, ttl, data: "b.example" });
  const rows: readonly (readonly [string, Parameters<typeof replyBytes>[1], number | undefined])[] = [
    ["one record", { answers: [a(77)] }, 77],
    ["the shortest of all sections", { answers: [a(77), a(78)], authorities: [{ ...soa(70, 1) }] }, 70],
    ["a CNAME before it", { answers: [cname(5), a(77)] }, 5],
    ["a day at most", { answers: [a(1_000_000)] }, 86_400],
    ["a TTL of zero", { answers: [a(77), a(0)] }, undefined],
    ["a TTL with the top bit set", { answers: [a(0x8000_0001)] }, undefined],
    ["NODATA: the SOA's TTL", { authorities: [soa(60, 900)] }, 60],
    ["NODATA: the SOA's MINIMUM", { authorities: [soa(900, 61)] }, 61],
    ["NODATA behind a CNAME", { answers: [cname(50)], authorities: [soa(900, 61)] }, 50],
    ["NODATA without a SOA", { answers: [cname(50)] }, undefined],
    ["nothing at all", {}, undefined],
    ["NXDOMAIN", { authorities: [soa(900, 62)], flags: 3 }, 62],
    ["NXDOMAIN without a SOA", { flags: 3 }, undefined],
    ["NXDOMAIN behind an answer of that type", { answers: [a(77)], flags: 3 }, undefined],
    ["SERVFAIL", { answers: [a(77)], flags: 2 }, undefined],
    ["REFUSED", { answers: [a(77)], flags: 5 }, undefined],
    ["truncated", { answers: [a(77)], flags: TRUNCATED_RESPONSE }, undefined],
    ["another opcode", { answers: [a(77)], flags: 0x2000 }, undefined],
  ];
  for (const [why, replied, seconds] of rows)
    for (const origin of ["upstream", "dns46", "sorry"] as const)
      test(`${why}, ${origin}: ${seconds ?? "none"}`, () => {
        const found = lifetimeOf(scanMessage(replyBytes({ name }, replied))!, origin);
        const most = origin === "sorry" ? 5 : Number.POSITIVE_INFINITY;
        const expected = seconds && { seconds: Math.min(seconds, most), synthesized: origin === "dns46" };
        assert.deepEqual(found, expected);
      });

  test("a reply that doesn't say what it is made of is not kept", () => {
    const cache = createAnswerCache(1 << 20);
    const [query, reply] = [queryBytes({ name }), replyBytes({ name }, { answers: [a(77)] })];
    cache.keep(query, reply, cache.changes());
    assert.equal(cache.find(query, "udp"), undefined);
    cache.keep(query, withOrigin("upstream", reply), cache.changes());
    assert.deepEqual(Buffer.from(cache.find(query, "udp")!.reply), reply);
  });

  test("queries of any length", () => {
    const cache = createAnswerCache(1 << 20);
    for (const length of [0, 11, 65_535, 65_536, 200_000]) {
      const query = new Uint8Array(length);
      assert.equal(cache.find(query, "tcp"), undefined);
      assert.equal(cache.stale(query, "tcp"), undefined);
      cache.keep(query, withOrigin("upstream", replyBytes({ name }, { answers: [a(77)] })), cache.changes());
    }
    assert.equal(cache.counts().entries, 0);
  });
});

test("names that a bit here and there tells apart have different hashes, whatever the key", () => {
  const module = new WebAssembly.Module(readFileSync(new URL("../../../wasm/dns.wasm", import.meta.url)));
  const wasm = new WebAssembly.Instance(module, {}).exports as unknown as {
    readonly memory: { readonly buffer: ArrayBuffer };
    init(bytes: number, key0: bigint, key1: bigint): number;
    questionBuffer(): number;
    replyBuffer(): number;
    keep(length: number, replyLength: number, lifetimeMs: number, synthesized: number, nowMs: number): number;
  };
  wasm.init(1 << 16, randomBytes(8).readBigInt64LE(), 0n);
  const memory = Buffer.from(wasm.memory.buffer);
  const plain = queryBytes({ name: "a".repeat(40) });
  const hashes = [[], [7, 11, 15], [15, 19, 23], [7, 11, 19, 23]].map((flipped) => {
    const query = Buffer.from(plain);
    for (const octet of flipped) query[12 + octet]! ^= 0x80;
    const reply = Buffer.from(query);
    reply[2]! |= 0x80;
    memory.set(query, wasm.questionBuffer());
    memory.set(reply, wasm.replyBuffer());
    wasm.keep(query.length, reply.length, 1000, 0, 0);
    // CachedAnswer (assembly/core/dns-ring.ts): the hash, the key, five words on the name.
    const key = Buffer.alloc(4);
    key.writeUInt32LE((42 << 24) | (1 << 16) | 1);
    for (let at = memory.indexOf(key); at >= 0; at = memory.indexOf(key, at + 1))
      if (memory.subarray(at + 24, at + 24 + 42).equals(query.subarray(12, 12 + 42)))
        return memory.readUInt32LE(at - 4);
    return assert.fail("it is kept");
  });
  assert.equal(new Set(hashes).size, hashes.length);
});

describe("dnsRateLimit of sockets", () => {
  const limited = () => {
    const state = { now: 0, engines: 0 };
    const limit = createRateLimit(
      () => state.engines,
      () => state.now,
    );
    const taken = (count: number) => Array.from({ length: count }, () => limit.take()).filter(Boolean).length;
    return { state, limit, taken };
  };
  test("none: any number", () => assert.equal(limited().taken(5000), 5000));
  test("a second's worth at once, then as time goes", () => {
    const { state, limit, taken } = limited();
    limit.set(100);
    assert.equal(taken(500), 100);
    state.now = 250;
    assert.equal(taken(500), 25);
    state.now = 60_000;
    assert.equal(taken(500), 100);
  });
  test("what the engines let through comes out of it, not for longer than a second", () => {
    const { state, limit, taken } = limited();
    limit.set(100);
    state.engines = 70;
    assert.equal(taken(500), 30);
    state.engines = 100_000;
    assert.equal(taken(1), 0);
    state.now = 2000;
    assert.equal(taken(500), 100);
  });
  test("changed while it runs", () => {
    const { limit, taken } = limited();
    limit.set(1);
    assert.equal(taken(9), 1);
    limit.set(3);
    assert.equal(taken(9), 3);
    limit.set(0);
    assert.equal(taken(9), 9);
  });
});
