/** Questions that the engine answers by itself: what it gives, and what it leaves to the host. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AUTHORITATIVE_ANSWER, CHECKING_DISABLED, RECURSION_DESIRED, TRUNCATED_RESPONSE } from "dns-packet";
import { readEngineDnsCounts } from "../../../src/dns/cache-counts.ts";
import { decode } from "../../support/decode.ts";
import {
  type Asked,
  aged,
  answersOf,
  type Edns,
  queryBytes,
  replyBytes,
  soa,
} from "../../support/dns-cache.ts";
import { host6, type Lab, nat4, type Result, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow66, fromPod, openFlow } from "../../support/flows.ts";
import { extensionHeader, type PacketSpec } from "../../support/packets.ts";

const sizes = { maxSessions: 1 << 14, maxMappings: 1 << 12, dnsCache: 1 << 20 };
const name = "www.Example.com";
const ttl = 300;

async function cacheLab(dnsCache = sizes.dnsCache): Promise<Lab> {
  const lab = await startLab({ sizes: { ...sizes, dnsCache } });
  lab.configure({ dns: true });
  return lab;
}

function ask(
  lab: Lab,
  query: Uint8Array,
  { now = 0, flow = flow44 as Flow, details = {} as Partial<PacketSpec> } = {},
): Result {
  return lab.push([fromPod(flow, "udp", 4000, { destinationPort: 53, payload: query, ...details })], now);
}

interface Keeping {
  readonly now?: number;
  readonly seconds?: number;
  readonly synthesized?: boolean;
}

/** Asks, and has the host answer with `reply` and keep that. */
function learn(lab: Lab, query: Uint8Array, reply: Uint8Array, keeping: Keeping = {}): void {
  const { now = 0, seconds = ttl, synthesized = false } = keeping;
  const asked = ask(lab, query, { now });
  assert.deepEqual([asked.outputs.length, asked.questions.length], [0, 1], "a miss");
  const { context } = asked.questions[0]!;
  const sent = lab.observe(() => lab.pump.reply(context, reply));
  assert.deepEqual(Buffer.from(decode(sent.outputs[0]!).payload), Buffer.from(reply));
  lab.pump.keep(context, reply, { seconds, synthesized }, now);
}

const counts = (lab: Lab) =>
  readEngineDnsCounts([{ buffer: lab.engine.bytes.buffer, layout: lab.engine.layout }]);

function assertHit(result: Result, expected: Uint8Array, flow: Flow = flow44): void {
  assert.deepEqual([result.outputs.length, result.questions.length, result.drops], [1, 0, {}]);
  const packet = decode(result.outputs[0]!);
  assert.deepEqual(
    [
      packet.source,
      packet.destination,
      packet.sourcePort,
      packet.destinationPort,
      packet.hops,
      packet.checksum,
    ],
    [flow.remote, flow.pod, 53, 4000, 64, "complete"],
  );
  assert.deepEqual(Buffer.from(packet.payload), Buffer.from(expected));
}

function assertMiss(result: Result): void {
  assert.deepEqual([result.outputs.length, result.questions.length, result.drops], [0, 1, {}]);
  assert.equal(result.questions[0]!.refresh, undefined);
}

const ednsForms: readonly (readonly [string, Edns | undefined])[] = [
  ["no EDNS", undefined],
  ["EDNS 512", { size: 512 }],
  ["EDNS 1232", { size: 1232 }],
  ["EDNS with DO", { size: 4096, dnssecOk: true }],
];

describe("answered from the cache", () => {
  for (const flow of [flow44, flow66])
    for (const [form, edns] of ednsForms)
      for (const type of Object.keys(answersOf))
        test(`${flow.out}, ${form}, ${type}: only ID, letters and TTLs differ`, async () => {
          const lab = await cacheLab();
          const asked = { name, type, edns };
          const answers = [answersOf[type]!(name, ttl), answersOf[type]!("other.example", ttl + 7)];
          const reply = replyBytes(asked, {
            answers,
            authorities: [soa(900, 60)],
            flags: AUTHORITATIVE_ANSWER,
          });
          learn(lab, queryBytes(asked), reply);
          for (const [id, letters, seconds] of [
            [2, "www.example.com", 0],
            [0xffff, "WWW.eXAMPLE.cOM", 1],
            [0x00ff, name, 269],
          ] as const) {
            const query = queryBytes({ ...asked, id, name: letters });
            const result = ask(lab, query, { now: seconds * 1000 + 999, flow });
            assertHit(result, aged(reply, query, seconds), flow);
          }
          const { hits, misses, entries, types, responses } = counts(lab);
          const counted = { UNKNOWN_65: "HTTPS", NAPTR: "other" }[type] ?? type;
          assert.deepEqual([hits, misses, entries, responses], [3, 1, 1, { NOERROR: 3 }]);
          assert.equal(types[counted as keyof typeof types], 3);
        });

  test("NXDOMAIN is counted as such", async () => {
    const lab = await cacheLab();
    const reply = replyBytes({ name }, { authorities: [soa(60, 60)], flags: 3 });
    learn(lab, queryBytes({ name }), reply, { seconds: 60 });
    assertHit(ask(lab, queryBytes({ name, id: 9 })), aged(reply, queryBytes({ name, id: 9 }), 0));
    assert.deepEqual(counts(lab).responses, { NXDOMAIN: 1 });
  });

  for (const [why, flow, details] of [
    ["IPv4 options", flow44, { options: Uint8Array.of(1, 1, 1, 0) }],
    ["an IPv6 extension header", flow66, { options: extensionHeader(17, 2), firstExtension: 60 }],
    ["a partial checksum", flow44, { checksum: "partial" }],
    ["a TTL of 1", flow44, { hops: 1 }],
  ] as const)
    test(`the question came with ${why}`, async () => {
      const lab = await cacheLab();
      const reply = replyBytes({ name }, { answers: [answersOf.A!(name, ttl)] });
      learn(lab, queryBytes({ name }), reply);
      assertHit(ask(lab, queryBytes({ name }), { flow, details }), reply, flow);
    });

  test("an answer too long for a packet is counted, and the next one leaves", async () => {
    const lab = await cacheLab();
    const { context } = ask(lab, queryBytes({ name })).questions[0]!;
    assert.deepEqual(lab.observe(() => lab.pump.reply(context, new Uint8Array(65_535))).drops, {
      DEVICE_REFUSED: 1,
    });
    assert.equal(lab.observe(() => lab.pump.reply(context, new Uint8Array(100))).outputs.length, 1);
  });

  test("a batch of questions is a batch of answers", async () => {
    const lab = await cacheLab();
    const reply = replyBytes({ name }, { answers: [answersOf.A!(name, ttl)] });
    learn(lab, queryBytes({ name }), reply);
    const packets = Array.from({ length: 500 }, (_, id) =>
      fromPod(flow44, "udp", 4000, { destinationPort: 53, payload: queryBytes({ name, id }) }),
    );
    const { outputs, drops } = lab.push(packets);
    assert.deepEqual(drops, {});
    const ids = outputs.map((output) => Buffer.from(decode(output).payload).readUInt16BE(0));
    assert.deepEqual(
      ids,
      packets.map((_, id) => id),
    );
  });
});

describe("left to the host", () => {
  const answer = { answers: [answersOf.A!(name, ttl)] };
  const others: readonly (readonly [string, Asked])[] = [
    ["another name", { name: "ww.Example.com" }],
    ["another type", { name, type: "AAAA" }],
    ["CD", { name, flags: RECURSION_DESIRED | CHECKING_DISABLED }],
    ["no RD", { name, flags: 0 }],
    ["AD", { name, flags: RECURSION_DESIRED | 0x20 }],
    ["EDNS", { name, edns: { size: 1232 } }],
    ["DO", { name, edns: { size: 1232, dnssecOk: true } }],
  ];
  for (const [why, asked] of others)
    test(`${why}: another answer may be due`, async () => {
      const lab = await cacheLab();
      learn(lab, queryBytes({ name }), replyBytes({ name }, answer));
      assertMiss(ask(lab, queryBytes(asked)));
      const reply = replyBytes(asked, { answers: [] });
      learn(lab, queryBytes(asked), reply);
      assertHit(ask(lab, queryBytes(asked)), reply);
    });

  const patched = (at: number, value: number, edns?: Edns) => {
    const query = queryBytes({ name, edns });
    query[at < 0 ? query.length + at : at] = value;
    return query;
  };
  const cookie = () => {
    const query = Buffer.concat([queryBytes({ name, edns: { size: 1232 } }), Buffer.alloc(12, 7)]);
    query.set([0, 12, 0, 10, 0, 8], query.length - 14);
    return query;
  };
  const unusual: readonly (readonly [string, Uint8Array])[] = [
    ["an opcode", patched(2, 0x21)],
    ["a reply", patched(2, 0x81)],
    ["TC", patched(2, 3)],
    ["a Z bit", patched(3, 0x40)],
    ["an RCODE", patched(3, 1)],
    ["no question", patched(5, 0)],
    ["two questions", patched(5, 2)],
    ["an answer", patched(7, 1)],
    ["an authority", patched(9, 1)],
    ["an additional record that isn't there", patched(11, 1)],
    ["two additional records", patched(11, 2, { size: 1232 })],
    ["class CH", patched(-1, 3)],
    ["type ANY", patched(-3, 255)],
    ["type TKEY", patched(-3, 249)],
    ["a compressed name", patched(12, 0xc0)],
    ["an extended label", patched(12, 0x41)],
    ["EDNS version 1", patched(-5, 1, { size: 1232 })],
    ["an extended RCODE", patched(-6, 1, { size: 1232 })],
    ["another EDNS flag", patched(-3, 1, { size: 1232 })],
    ["a cookie", cookie()],
    ["bytes behind the message", Buffer.concat([queryBytes({ name }), Buffer.of(0)])],
    ["half a message", queryBytes({ name }).subarray(0, 20)],
    ["a header alone", queryBytes({ name }).subarray(0, 12)],
    ["nothing", new Uint8Array(0)],
  ];
  for (const [why, query] of unusual)
    test(`${why}: never kept, never answered`, async () => {
      const lab = await cacheLab();
      learn(lab, query, replyBytes({ name }, answer));
      assertMiss(ask(lab, query));
      assert.equal(counts(lab).entries, 0);
    });

  const long = { name, type: "TXT" };
  const longAnswers = [{ ...answersOf.TXT!(name, ttl), data: ["x".repeat(250), "y".repeat(250)] } as never];
  for (const [edns, hit] of [
    [undefined, false],
    [{ size: 1 }, false],
    [{ size: 512 }, false],
    [{ size: 600 }, true],
    [{ size: 65535 }, true],
  ] as const)
    test(`a reply of ${edns ? 560 : 549} bytes for a client that takes ${edns?.size ?? "no EDNS"}: ${hit ? "given" : "not given"}`, async () => {
      const lab = await cacheLab();
      const asked = { ...long, edns };
      const reply = replyBytes(asked, { answers: longAnswers });
      learn(lab, queryBytes(edns ? { ...long, edns: { size: 1232 } } : asked), reply);
      const result = ask(lab, queryBytes(asked));
      if (hit) assertHit(result, reply);
      else assertMiss(result);
    });

  test("a reply of more than 1232 bytes, whatever the client takes over UDP", async () => {
    const lab = await cacheLab();
    const asked = { ...long, edns: { size: 4096 } };
    const reply = replyBytes(asked, { answers: [...longAnswers, ...longAnswers, ...longAnswers] });
    assert.ok(reply.length > 1232);
    learn(lab, queryBytes(asked), reply);
    assertMiss(ask(lab, queryBytes(asked)));
    assert.equal(counts(lab).entries, 1);
  });

  test("expired, to the millisecond", async () => {
    const lab = await cacheLab();
    const start = 0xffff_f000; // the host's milliseconds wrap meanwhile
    const reply = replyBytes({ name }, answer);
    learn(lab, queryBytes({ name }), reply, { now: start });
    const last = ask(lab, queryBytes({ name }), { now: (start + ttl * 1000 - 1) >>> 0 });
    assert.deepEqual(
      Buffer.from(decode(last.outputs[0]!).payload),
      aged(reply, queryBytes({ name }), ttl - 1),
    );
    assertMiss(ask(lab, queryBytes({ name }), { now: (start + ttl * 1000) >>> 0 }));
  });

  test("kept for long without a question in between, by the ticks alone", async () => {
    const lab = await cacheLab();
    learn(lab, queryBytes({ name }), replyBytes({ name }, answer));
    for (let day = 0; day < 50; day++) lab.sweep(day * 86_400_000);
    assertMiss(ask(lab, queryBytes({ name }), { now: 50 * 86_400_000 }));
  });

  test("a super-packet of questions", async () => {
    const lab = await cacheLab();
    const query = queryBytes({ name });
    learn(lab, query, replyBytes({ name }, answer));
    const payload = Buffer.concat([query, query]);
    const { questions } = ask(lab, payload, {
      details: { checksum: "partial", gsoSize: query.length, payload },
    });
    assert.equal(questions.length, 2);
  });

  test("the cache is off", async () => {
    const lab = await cacheLab(0);
    learn(lab, queryBytes({ name }), replyBytes({ name }, answer));
    assertMiss(ask(lab, queryBytes({ name })));
    assert.deepEqual([counts(lab).entries, counts(lab).misses], [0, 0]);
  });
});

describe("not kept", () => {
  const whole = replyBytes({ name }, { answers: [answersOf.A!(name, ttl)] });
  const replies: readonly (readonly [string, Uint8Array])[] = [
    ["to another name", replyBytes({ name: "ab.Example.com" }, { answers: [] })],
    ["to another type", replyBytes({ name, type: "AAAA" }, { answers: [] })],
    ["truncated", replyBytes({ name }, { flags: TRUNCATED_RESPONSE })],
    ["a query", queryBytes({ name })],
    ["with bytes behind it", Buffer.concat([whole, Buffer.of(0)])],
    ["cut", whole.subarray(0, whole.length - 1)],
    [
      "of more than 4 KB",
      replyBytes({ name }, { answers: Array.from({ length: 160 }, () => answersOf.A!(name, ttl)) }),
    ],
    ["nothing", new Uint8Array(0)],
  ];
  for (const [why, reply] of replies)
    test(`a reply ${why}`, async () => {
      const lab = await cacheLab();
      learn(lab, queryBytes({ name }), reply);
      assertMiss(ask(lab, queryBytes({ name })));
    });
});

describe("DNS46 answers end with their mapping", () => {
  const made = replyBytes(
    { name },
    {
      answers: [
        { type: "A", name, ttl, data: nat4 },
        { type: "A", name, ttl, data: "10.244.50.8" },
        { type: "AAAA", name, ttl, data: host6 },
      ],
    },
  );
  const query = queryBytes({ name });
  const start = async (synthesized: boolean) => {
    const lab = await cacheLab();
    lab.install("10.244.50.8", "2001:db8:46::81");
    learn(lab, query, made, { synthesized });
    assertHit(ask(lab, query), made);
    return lab;
  };
  for (const address of [nat4, "10.244.50.8"]) {
    test(`${address} removed: a miss at once, also after it is back`, async () => {
      const lab = await start(true);
      lab.remove(address);
      assertMiss(ask(lab, query));
      lab.install(address, host6);
      assertMiss(ask(lab, query));
    });
    test(`${address} is another host's: a miss`, async () => {
      const lab = await start(true);
      lab.install(address, "2001:db8:46::99");
      assertMiss(ask(lab, query));
    });
  }
  test("installed again as it is, another one added or removed: still a hit", async () => {
    const lab = await start(true);
    lab.install(nat4, host6);
    lab.install("10.244.50.77", host6);
    lab.remove("10.244.50.77");
    lab.remove("10.244.50.78");
    assertHit(ask(lab, query), made);
    assert.equal(counts(lab).synthesized, 2);
  });
  test("an upstream's answer with such an address stays", async () => {
    const lab = await start(false);
    lab.remove(nat4);
    assertHit(ask(lab, query), made);
  });
});

describe("asked anew before it ends", () => {
  test("once, in the last tenth; the new answer takes over", async () => {
    const lab = await cacheLab();
    const query = queryBytes({ name, edns: { size: 1232 } });
    const reply = (data: string) =>
      replyBytes({ name, edns: { size: 1232 } }, { answers: [{ type: "A", name, ttl, data }] });
    learn(lab, query, reply("192.0.2.1"));
    assert.deepEqual(ask(lab, query, { now: 269_999 }).questions, []);
    const due = ask(lab, query, { now: 270_000 });
    assert.deepEqual(Buffer.from(decode(due.outputs[0]!).payload), aged(reply("192.0.2.1"), query, 270));
    assert.deepEqual([due.questions.length, due.questions[0]?.refresh], [1, true]);
    assert.deepEqual(Buffer.from(due.questions[0]!.question), query);
    assert.deepEqual(ask(lab, query, { now: 270_001 }).questions, [], "one question");
    lab.pump.keep(
      due.questions[0]!.context,
      reply("192.0.2.2"),
      { seconds: ttl, synthesized: false },
      271_000,
    );
    assertHit(ask(lab, query, { now: 500_000 }), aged(reply("192.0.2.2"), query, 229));
    assert.deepEqual([counts(lab).refreshes, counts(lab).entries], [1, 1]);
  });
});

describe("asked anew in a crowded batch", () => {
  for (const [places, refreshed] of [
    [1, false],
    [2, true],
  ] as const)
    test(`${places} left in the transmit ring: the answer leaves${refreshed ? ", and the question" : " and the question another time"}`, async () => {
      const lab = await cacheLab();
      const query = queryBytes({ name });
      const reply = replyBytes({ name }, { answers: [answersOf.A!(name, ttl)] });
      learn(lab, query, reply);
      const questions = lab.engine.layout.transmitCapacity - places;
      // The questions of a super-packet go to the host, one place each.
      const others = new Uint8Array(10 * questions);
      const crowd = { destinationPort: 53, checksum: "partial", gsoSize: 10, payload: others } as const;
      const now = 270_000;
      const {
        outputs,
        questions: asked,
        drops,
      } = lab.push(
        [
          fromPod(flow44, "udp", 4001, crowd),
          fromPod(flow44, "udp", 4000, { destinationPort: 53, payload: query }),
        ],
        now,
      );
      assert.deepEqual(drops, {});
      assert.deepEqual(
        outputs.map((output) => Buffer.from(decode(output).payload)),
        [aged(reply, query, 270)],
      );
      assert.equal(asked.length, questions + (refreshed ? 1 : 0));
      assert.equal(counts(lab).hits, 1);
      assert.equal(ask(lab, query, { now }).questions.length, refreshed ? 0 : 1);
    });
});

describe("room", () => {
  const names = Array.from({ length: 2000 }, (_, index) => `host${index}.example`);
  const reply = (of: string) => replyBytes({ name: of }, { answers: [answersOf.A!(of, ttl)] });

  test("full: what was used lately stays, the rest makes room, oldest first", async () => {
    const lab = await cacheLab(1 << 16);
    const [favourite = ""] = names;
    learn(lab, queryBytes({ name: favourite }), reply(favourite));
    for (const each of names.slice(1)) {
      learn(lab, queryBytes({ name: each }), reply(each));
      assertHit(ask(lab, queryBytes({ name: favourite })), reply(favourite));
    }
    const { entries, evictions } = counts(lab);
    assert.equal(entries + evictions, names.length);
    assert.ok(entries > 300 && evictions > 1000, `${entries} entries`);
    const newest = names.slice(-100);
    for (const each of newest) assertHit(ask(lab, queryBytes({ name: each })), reply(each));
    assertMiss(ask(lab, queryBytes({ name: names[1]! })));
  });

  test("replies of all lengths, replaced and expiring, for many rounds of the ring: each hit is right", async () => {
    const lab = await cacheLab(1 << 16);
    const kept = new Map<string, { reply: Buffer; since: number; seconds: number }>();
    let hits = 0;
    let random = 46;
    for (let now = 0; now < 3000; now++) {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      const of = names[(random >>> 8) % 100]!;
      const asked = { name: of, type: "TXT", edns: { size: 4096 } };
      const query = queryBytes(asked);
      const result = ask(lab, query, { now: now * 100 });
      const known = kept.get(of);
      if (result.outputs.length > 0) {
        hits++;
        const age = Math.floor((now * 100 - (known?.since ?? 0)) / 1000);
        assert.ok(known !== undefined && age < known.seconds);
        assert.deepEqual(Buffer.from(decode(result.outputs[0]!).payload), aged(known.reply, query, age));
      }
      const [question] = result.questions;
      if (question === undefined || (now * 31) % 3 === 0) continue;
      const text = `${now}`.padEnd((now * 37) % 250, "x");
      const seconds = 1 + ((now * 13) % 90);
      const made = replyBytes(asked, {
        answers: Array.from(
          { length: 1 + (now % 12) },
          () => ({ ...answersOf.TXT!(of, seconds), data: text }) as never,
        ),
      });
      lab.pump.keep(question.context, made, { seconds, synthesized: false }, now * 100);
      kept.set(of, { reply: made, since: now * 100, seconds });
    }
    assert.ok(hits > 300 && counts(lab).evictions > 100, JSON.stringify(counts(lab)));
  });

  test("flushed: empty, and as good as new", async () => {
    const lab = await cacheLab(1 << 16);
    for (const each of names.slice(0, 600)) learn(lab, queryBytes({ name: each }), reply(each));
    lab.engine.exports.dnsFlush();
    assert.equal(counts(lab).entries, 0);
    for (const each of names.slice(0, 100)) learn(lab, queryBytes({ name: each }), reply(each));
    for (const each of names.slice(0, 100)) assertHit(ask(lab, queryBytes({ name: each })), reply(each));
  });
});

describe("dnsRateLimit", () => {
  test("holds for hits and misses, and lets the rate through", async () => {
    const lab = await cacheLab();
    lab.configure({ dnsRate: 100 });
    const query = queryBytes({ name });
    learn(lab, query, replyBytes({ name }, { answers: [answersOf.A!(name, ttl)] }));
    const burst = (from: string, now: number) =>
      lab.push(
        Array.from({ length: 200 }, () =>
          fromPod(flow44, "udp", 4000, { destinationPort: 53, payload: queryBytes({ name: from }) }),
        ),
        now,
      );
    const hits = burst(name, 0);
    assert.deepEqual([hits.outputs.length, hits.drops], [99, { DNS_RATE_LIMITED: 101 }]);
    const misses = burst("no.example", 500);
    assert.deepEqual([misses.questions.length, misses.drops], [50, { DNS_RATE_LIMITED: 150 }]);
    assert.equal(burst(name, 60_000).outputs.length, 100, "no more than a second's worth is saved up");
    openFlow(lab, flow44, "tcp", 4001);
    lab.configure({ dnsRate: 0 });
    assert.equal(burst(name, 60_000).outputs.length, 200);
  });
});
