import assert from "node:assert/strict";
import { describe, test } from "node:test";
import dnsPacket from "dns-packet";
import { readAsked } from "../../../src/dns/asked.ts";
import { createExchange } from "../../../src/dns/exchange.ts";
import { createFailureCache } from "../../../src/dns/failure-cache.ts";
import { rcode, rcodeOf } from "../../../src/dns/message.ts";
import { type QuestionOptions, questionFor, withUpstreams } from "../../support/dns-upstreams.ts";
import { replyTo, type Script } from "../../support/scripted-upstream.ts";

const askedFor = (name: string, options?: QuestionOptions) => readAsked(questionFor(name, options))!;

describe("failure cache (RFC 9520)", () => {
  test("a second at first, twice as long each time, never over five minutes", () => {
    const cache = createFailureCache();
    let now = 0;
    const seconds: number[] = [];
    for (let round = 0; round < 11; round++) {
      cache.remember(askedFor("x.example"), rcode.SERVFAIL, now);
      const { until } = cache.recall(askedFor("x.example"), now)!;
      seconds.push((until - now) / 1000);
      assert.equal(cache.recall(askedFor("x.example"), until), undefined);
      now = until;
    }
    assert.deepEqual(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  test("what failed long ago starts anew", () => {
    const cache = createFailureCache();
    for (let round = 0; round < 3; round++) cache.remember(askedFor("x.example"), undefined, 0);
    cache.remember(askedFor("x.example"), undefined, 7999);
    assert.equal(cache.recall(askedFor("x.example"), 7999)!.until, 15_999);
    cache.remember(askedFor("x.example"), undefined, 24_000);
    assert.equal(cache.recall(askedFor("x.example"), 24_000)!.until, 25_000);
  });

  test("a success forgets how often it failed", () => {
    const cache = createFailureCache();
    for (let round = 0; round < 5; round++) cache.remember(askedFor("x.example"), undefined, 0);
    cache.forget(askedFor("x.example"));
    assert.equal(cache.recall(askedFor("x.example"), 0), undefined);
    cache.remember(askedFor("x.example"), undefined, 0);
    assert.equal(cache.recall(askedFor("x.example"), 0)!.until, 1000);
  });

  test("bounded: the oldest go", () => {
    const cache = createFailureCache();
    for (let index = 0; index < 5000; index++) cache.remember(askedFor(`${index}.example`), undefined, 0);
    assert.equal(cache.size, 4096);
    assert.equal(cache.recall(askedFor("0.example"), 0), undefined);
    assert.ok(cache.recall(askedFor("4999.example"), 0));
  });

  const withOption = { ednsSize: 1232, options: [{ code: 65001, data: Buffer.from("x") }] };
  const apart: [why: string, name: string, options: QuestionOptions, same: boolean][] = [
    ["letter case", "FAIL.example", {}, true],
    ["EDNS", "fail.example", { ednsSize: 1232 }, true],
    ["DO", "fail.example", { ednsSize: 1232, dnssecOk: true }, true],
    ["name", "fall.example", {}, false],
    ["type", "fail.example", { type: "AAAA" }, false],
    ["CD", "fail.example", { flags: 0x0110 }, false],
    ["RD", "fail.example", { flags: 0 }, false],
    ["an option", "fail.example", withOption, false],
    ["a reserved flag", "fail.example", { flags: 0x0140 }, false],
  ];
  for (const [why, name, options, same] of apart)
    test(`${same ? "shared in spite of" : "apart by"} ${why}`, () => {
      const cache = createFailureCache();
      cache.remember(askedFor("fail.example"), undefined, 0);
      assert.equal(cache.recall(askedFor(name, options), 0) !== undefined, same);
    });

  const signed = dnsPacket.encode({
    ...{ type: "query", id: 1, flags: 256, questions: [{ name: "fail.example", type: "A" }] },
    additionals: [{ type: "UNKNOWN_250" as never, name: "key.example", data: Buffer.alloc(16) as never }],
  });
  for (const [why, bytes] of [
    ["an option", questionFor("fail.example", withOption)],
    ["a reserved flag", questionFor("fail.example", { flags: 0x0140 })],
    ["a signature", signed],
    ["octets behind it", Buffer.concat([questionFor("fail.example"), Buffer.alloc(1)])],
  ] as const)
    test(`the failure of a question with ${why} is its own`, () => {
      const cache = createFailureCache();
      cache.remember(readAsked(bytes)!, rcode.REFUSED, 0);
      assert.equal(cache.recall(askedFor("fail.example"), 0), undefined);
      assert.equal(cache.size, 0);
    });
});

const servfail: Script = ({ query, send }) => send(replyTo(query, { rcode: 2 }));
const slow: Script = ({ query, send }) => void setTimeout(() => send(replyTo(query)), 50);
const good: Script = ({ query, send }) => send(replyTo(query));

describe("questions that failed", { concurrency: true }, () => {
  test("SERVFAIL: not asked again for a second, and told as EDE 13; then asked, and forgotten by a success", () =>
    withUpstreams([servfail], {}, async ({ resolver, servers }) => {
      let now = 0;
      const exchange = createExchange(resolver, () => now);
      const ask = () => exchange.ask(questionFor("x.example", { ednsSize: 1232 }), false);
      assert.equal(rcodeOf(await ask()), rcode.SERVFAIL);
      now = 999;
      const again = await ask();
      assert.equal(rcodeOf(again), rcode.SERVFAIL);
      assert.equal(Buffer.from(again.bytes).readUInt16BE(again.opt!.rdata + 4), 13);
      assert.equal(servers[0]!.asked.length, 1);
      servers[0]!.script = good;
      now = 1000;
      for (let round = 0; round < 2; round++) assert.equal(rcodeOf(await ask()), rcode.NOERROR);
      assert.equal(servers[0]!.asked.length, 3);
    }));

  test("no answer: rejected at once for a second", () =>
    withUpstreams([() => undefined], {}, async ({ resolver, servers }) => {
      let now = 0;
      const exchange = createExchange(resolver, () => now);
      const ask = () => exchange.ask(questionFor("x.example"), false);
      await assert.rejects(ask(), { code: "EG46_UPSTREAM_UNAVAILABLE" });
      const before = servers[0]!.asked.length;
      await assert.rejects(ask(), { code: "EG46_UPSTREAM_UNAVAILABLE", message: /asked again in 1 s/ });
      assert.equal(servers[0]!.asked.filter(({ name }) => name.toLowerCase() === "x.example").length, before);
      servers[0]!.script = good;
      now = 1000;
      assert.equal(rcodeOf(await ask()), rcode.NOERROR);
    }));

  test("what failed while the upstreams were down is asked at once when they are back", () =>
    withUpstreams([() => undefined], {}, async ({ resolver, servers }) => {
      const exchange = createExchange(resolver, () => 0);
      const names = ["a.example", "b.example", "c.example"];
      await Promise.allSettled(names.map((name) => exchange.ask(questionFor(name), false)));
      assert.equal(resolver.healthy(), false);
      servers[0]!.script = good;
      for (let waited = 0; waited < 50 && !resolver.healthy(); waited++)
        await new Promise((done) => setTimeout(done, 100));
      for (const name of names)
        assert.equal(rcodeOf(await exchange.ask(questionFor(name), false)), rcode.NOERROR);
    }));
});

describe("questions in flight are of their configuration", { concurrency: true }, () => {
  for (const [why, addresses, shared] of [
    ["the same upstreams", ["127.0.0.1", "127.0.0.2"], true],
    ["another one", ["127.0.0.1", "127.0.0.2", "127.0.0.3"], false],
    ["one less", ["127.0.0.2"], false],
  ] as const)
    test(`configured meanwhile, ${why}: ${shared ? "one question" : "asked again"}`, () =>
      withUpstreams([slow, slow], {}, async ({ resolver, servers }) => {
        const exchange = createExchange(resolver);
        const before = exchange.ask(questionFor("x.example"), false);
        resolver.configure(addresses);
        await Promise.all([before, exchange.ask(questionFor("x.example"), false)]);
        assert.equal(servers.flatMap(({ asked }) => asked).length, shared ? 1 : 2);
      }));
});

describe("questions in flight are shared", { concurrency: true }, () => {
  const pairs: [why: string, name: string, options: QuestionOptions, shared: boolean][] = [
    ["the same", "x.example", {}, true],
    ["letter case", "X.exAMPle", {}, true],
    ["an octet that is no letter", "x\u0001.example", {}, false],
    ["type", "x.example", { type: "AAAA" }, false],
    ["RD", "x.example", { flags: 0 }, false],
    ["CD", "x.example", { flags: 0x0110 }, false],
    ["EDNS", "x.example", { ednsSize: 1232 }, false],
    ["DO", "x.example", { ednsSize: 1232, dnssecOk: true }, false],
    ["an option", "x.example", { ednsSize: 1232, options: [{ code: 65001, data: Buffer.from("x") }] }, false],
  ];
  for (const [why, name, options, shared] of pairs)
    test(`${shared ? "one question" : "two questions"}: ${why}`, () =>
      withUpstreams([good], {}, async ({ resolver, servers }) => {
        const exchange = createExchange(resolver);
        await Promise.all([
          exchange.ask(questionFor("x.example"), false),
          exchange.ask(questionFor(name, options), false),
        ]);
        assert.equal(servers[0]!.asked.length, shared ? 1 : 2);
      }));
});
