import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pino } from "pino";
import type { Deadlines } from "../../../src/deadlines.ts";
import { readAsked } from "../../../src/dns/asked.ts";
import { createHealth } from "../../../src/dns/health.ts";
import { createLetterCase } from "../../../src/dns/letter-case.ts";
import { patchId, rcodeName, rcodeOf, scanMessage, u16 } from "../../../src/dns/message.ts";
import { race } from "../../../src/dns/race.ts";
import type { Upstream } from "../../../src/dns/upstream.ts";
import { createUdpPool } from "../../../src/dns/upstream-udp.ts";
import { hasCode } from "../../../src/errors.ts";
import { questionFor, withUpstreams } from "../../support/dns-upstreams.ts";
import { replyTo, type Script } from "../../support/scripted-upstream.ts";

/** Later than any question may end, with room for a busy machine. */
const withinMs = 3000;
const good: Script = ({ query, send }) => send(replyTo(query));

/** What an upstream can do to a question, over UDP unless it says otherwise. */
const scripts = {
  good,
  mute: () => undefined,
  slow: ({ query, send }) => void setTimeout(() => send(replyTo(query)), 700),
  SERVFAIL: ({ query, send }) => send(replyTo(query, { rcode: 2 })),
  REFUSED: ({ query, send }) => send(replyTo(query, { rcode: 5 })),
  NXDOMAIN: ({ query, send }) => send(replyTo(query, { rcode: 3 })),
  garbage: ({ send }) => send(Buffer.from("no DNS message at all")),
  "wrong ID": ({ query, send }) => {
    const reply = replyTo(query);
    patchId(reply, u16(reply, 0) ^ 1);
    send(reply);
  },
  "wrong question": ({ query, send }) => {
    const reply = replyTo(query);
    reply[14]! ^= 1;
    send(reply);
  },
  "wrong type": ({ query, send }) => {
    const reply = replyTo(query);
    reply[reply.indexOf(0, 12) + 2]! ^= 29;
    send(reply);
  },
  "its question back": ({ query, send }) => send(query),
  "lower case": ({ query, send }) => send(lowerCase(replyTo(query))),
  "TC, then TCP": (question) =>
    question.transport === "udp" ? question.send(replyTo(question.query, { cut: true })) : good(question),
  "TC, then mute TCP": ({ transport, query, send }) =>
    transport === "udp" && send(replyTo(query, { cut: true })),
  "TC, then TCP that closes": ({ transport, query, send, close }) =>
    transport === "udp" ? send(replyTo(query, { cut: true })) : close(),
  "TC, then TCP with the wrong question": (question) => {
    if (question.transport === "udp") question.send(replyTo(question.query, { cut: true }));
    else scripts["wrong question"](question);
  },
} satisfies Record<string, Script>;
type Kind = keyof typeof scripts;

function lowerCase(reply: Buffer): Buffer {
  for (let at = 12; reply[at] !== 0; at++) if (reply[at]! >= 0x41 && reply[at]! <= 0x5a) reply[at]! |= 0x20;
  return reply;
}

/** An RCODE or 'none', and how long it took. */
async function outcome(asking: Promise<Parameters<typeof rcodeOf>[0]>): Promise<[string, number]> {
  const startedAt = performance.now();
  const name = await asking.then(
    (reply) => rcodeName(rcodeOf(reply)),
    (error) => (hasCode(error, "EG46_UPSTREAM_UNAVAILABLE") ? "none" : Promise.reject(error)),
  );
  return [name, performance.now() - startedAt];
}

describe("what an upstream does, alone and in front of a good one", { concurrency: true }, () => {
  const matrix: [kind: Kind, alone: string][] = [
    ["good", "NOERROR"],
    ["mute", "none"],
    ["slow", "NOERROR"],
    ["SERVFAIL", "SERVFAIL"],
    ["REFUSED", "REFUSED"],
    ["NXDOMAIN", "NXDOMAIN"],
    ["garbage", "none"],
    ["wrong ID", "none"],
    ["wrong question", "none"],
    ["wrong type", "none"],
    ["its question back", "none"],
    ["lower case", "NOERROR"],
    ["TC, then TCP", "NOERROR"],
    ["TC, then mute TCP", "none"],
    ["TC, then TCP that closes", "none"],
    ["TC, then TCP with the wrong question", "none"],
  ];
  for (const [kind, alone] of matrix) {
    test(`${kind}: ${alone}`, () =>
      withUpstreams([scripts[kind]], {}, async ({ resolver }) => {
        const [rcode, ms] = await outcome(resolver.resolve(questionFor("www.example"), true));
        assert.equal(rcode, alone);
        assert.ok(ms < withinMs, `${ms} ms`);
      }));

    const wanted = ["NXDOMAIN"].includes(kind) ? kind : "NOERROR";
    test(`${kind}, good: ${wanted}`, () =>
      withUpstreams([scripts[kind], good], {}, async ({ resolver }) => {
        const [rcode, ms] = await outcome(resolver.resolve(questionFor("www.example"), true));
        assert.equal(rcode, wanted);
        assert.ok(ms < withinMs, `${ms} ms`);
      }));
  }

  for (const kind of ["mute", "garbage", "wrong ID", "wrong question", "TC, then mute TCP"] as const)
    test(`${kind}, good: the good one is asked first after a few questions, the other checked now and then`, () =>
      withUpstreams([scripts[kind], good], {}, async ({ resolver, servers }) => {
        for (let round = 0; round < 3; round++) await resolver.resolve(questionFor(`${round}.example`), true);
        const [first, second] = servers;
        const before = [first!.asked.length, second!.asked.length] as const;
        await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            resolver.resolve(questionFor(`later${index}.example`), true),
          ),
        );
        assert.equal(first!.asked.filter(({ name }) => name.startsWith("later")).length, 0);
        assert.ok(second!.asked.length >= before[1] + 20);
        const [sick, well] = resolver.stats();
        assert.deepEqual([sick!.healthy, well!.healthy], [false, true]);
        assert.ok(sick!.silent >= 3 && sick!.answered === 0 && well!.answered >= 23);
      }));
});

describe("upstreams", { concurrency: true }, () => {
  test("a slow first upstream is asked last, not first again after each check", () =>
    withUpstreams([scripts.slow, good], {}, async ({ resolver, said }) => {
      for (let round = 0; round < 4; round++) await resolver.resolve(questionFor(`${round}.example`), true);
      await new Promise((done) => setTimeout(done, 2000));
      assert.equal(resolver.stats()[0]!.healthy, false);
      assert.deepEqual(
        said.map(({ msg }) => msg),
        ["DNS upstream does not answer in time; others are asked first"],
      );
    }));

  test("each step can be followed", () =>
    withUpstreams([scripts.SERVFAIL, good], {}, async ({ resolver }) => {
      const steps: string[] = [];
      await resolver.resolve(questionFor("www.example"), false, (upstream, what, ms) => {
        assert.ok(ms >= 0);
        steps.push(`${upstream} ${what}`);
      });
      assert.deepEqual(steps, [
        "127.0.0.1 asked",
        "127.0.0.1 SERVFAIL",
        "127.0.0.2 asked",
        "127.0.0.2 NOERROR",
      ]);
    }));

  test("an upstream that answers again is asked first again within seconds, and what failed is free to be asked", () =>
    withUpstreams([scripts.mute, good], {}, async ({ resolver, servers, said }) => {
      for (let round = 0; round < 3; round++) await resolver.resolve(questionFor(`${round}.example`), true);
      assert.equal(resolver.stats()[0]!.healthy, false);
      const generation = resolver.generation();
      servers[0]!.script = good;
      for (let waited = 0; waited < 50 && !resolver.stats()[0]!.healthy; waited++)
        await new Promise((done) => setTimeout(done, 100));
      assert.ok(resolver.stats()[0]!.healthy && resolver.generation() > generation);
      await resolver.resolve(questionFor("back.example"), true);
      assert.equal(servers[0]!.asked.at(-1)!.name.toLowerCase(), "back.example");
      assert.ok(said.some(({ msg }) => msg === "DNS upstream answers again"));
    }));

  test("a question too long for a datagram goes by TCP, and the others are none the worse", () =>
    withUpstreams([good], {}, async ({ resolver, servers }) => {
      const options = [{ code: 65001, data: Buffer.alloc(65_480) }];
      const long = questionFor("long.example", { ednsSize: 1232, options });
      const asked = [long, ...Array.from({ length: 20 }, (_, index) => questionFor(`${index}.example`))];
      const replies = await Promise.all(asked.map((query) => resolver.resolve(query, false)));
      assert.deepEqual(new Set(replies.map(rcodeOf)), new Set([0]));
      const byTcp = servers[0]!.asked.filter(({ transport }) => transport === "tcp");
      assert.deepEqual(
        byTcp.map(({ name }) => name),
        ["long.example"],
      );
      assert.equal(resolver.stats()[0]!.silent, 0);
    }));

  test("a datagram that the kernel finds too long fails alone", () =>
    withUpstreams([good], {}, async ({ servers }) => {
      const { address, port } = servers[0]!;
      const letterCase = createLetterCase("off", address, pino({ level: "silent" }));
      const udp = createUdpPool(address, port, letterCase, () => undefined);
      const options = [{ code: 65001, data: Buffer.alloc(65_480) }];
      const queries = [
        ...Array.from({ length: 16 }, (_, index) => questionFor(`${index}.example`)),
        questionFor("long.example", { ednsSize: 1232, options }),
      ];
      const said = await Promise.all(
        queries.map(
          (query) =>
            new Promise<string>((resolve) =>
              udp.ask(readAsked(query)!, {
                answered: () => resolve("answered"),
                miscased: () => resolve("miscased"),
                failed: (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message),
              }),
            ),
        ),
      );
      udp.retire();
      assert.deepEqual(said, [...new Array(16).fill("answered"), "EMSGSIZE"]);
    }));

  test("an upstream that throws is one that failed: the next is asked, and nothing is left behind", async () => {
    const waiting = new Set<unknown>();
    const deadlines: Deadlines = {
      add: (one) => void waiting.add(one),
      delete: (one) => void waiting.delete(one),
    };
    const upstream = (address: string, ask: Upstream["ask"]): Upstream => ({
      ...{ address, ask, sent: () => false, transport: () => "udp", problem: () => undefined },
      retire: () => undefined,
    });
    const log = pino({ level: "silent" });
    const asked = readAsked(questionFor("www.example"))!;
    const reply = scanMessage(replyTo(Buffer.from(asked.bytes)))!;
    const members = [
      upstream("throws", () => {
        throw new RangeError("a bug");
      }),
      upstream("good", (_asked, _whole, sink) => {
        setImmediate(() => sink.answered(reply));
        return { cancel: () => undefined };
      }),
    ].map((each) => ({ upstream: each, health: createHealth(each, log, () => undefined) }));
    const found = await new Promise((resolve, reject) =>
      race(asked, false, members, deadlines, { resolve, reject }),
    );
    for (const { health } of members) health.stop();
    assert.equal(found, reply);
    assert.equal(waiting.size, 0);
  });

  test("latencies and counts of an upstream", () =>
    withUpstreams([good], {}, async ({ resolver }) => {
      for (let round = 0; round < 50; round++) await resolver.resolve(questionFor(`${round}.example`), false);
      const [stats] = resolver.stats();
      assert.deepEqual(
        [stats!.questions, stats!.answered, stats!.refused, stats!.silent, stats!.healthy, stats!.transport],
        [50, 50, 0, 0, true, "udp, 0x20"],
      );
      const { p50, p99 } = stats!.latencyMs!;
      assert.ok(p50 > 0 && p50 <= p99 && p99 < withinMs, `${p50} ${p99}`);
    }));

  test("many at once: each question has its own answer, IDs and ports are spread", () =>
    withUpstreams(
      [
        ({ query, name, send }) =>
          send(replyTo(query, { answer: `192.0.2.${Number.parseInt(name, 10) % 256}` })),
      ],
      {},
      async ({ resolver, servers }) => {
        const [rounds, atOnce] = [20, 100];
        for (let round = 0; round < rounds; round++) {
          const numbers = Array.from({ length: atOnce }, (_, index) => round * atOnce + index);
          const replies = await Promise.all(
            numbers.map((number) => resolver.resolve(questionFor(`${number}.example`), false)),
          );
          assert.deepEqual(
            replies.map(({ bytes }) => bytes.at(-1)),
            numbers.map((number) => number % 256),
          );
        }
        const ids = new Set(servers[0]!.asked.map(({ query }) => u16(query, 0)));
        assert.ok(ids.size > rounds * atOnce * 0.9, `${ids.size} different IDs`);
        assert.ok(new Set(servers[0]!.asked.map(({ source }) => source)).size > 2, "source ports");
      },
    ));
});
