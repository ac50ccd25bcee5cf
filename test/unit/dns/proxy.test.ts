import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import dnsPacket, { type DecodedPacket, type Packet, type RecordType } from "dns-packet";
import type { Transport } from "../../../src/dns/proxy.ts";
import { startTestGateway, type TestGateway, type TestGatewayOptions } from "../../support/dns-gateway.ts";

interface Ask {
  readonly name: string;
  readonly type?: string;
  readonly transport?: Transport;
  readonly edns?: { size?: number; dnssecOk?: boolean; options?: { code: number; data: Buffer }[] };
  readonly flags?: number;
}

let nextId = 1000;

function question({ name, type = "A", edns, flags = dnsPacket.RECURSION_DESIRED }: Ask): Buffer {
  const packet: Packet = {
    type: "query",
    id: nextId++,
    flags,
    questions: [{ name, type: type as RecordType }],
  };
  if (edns !== undefined)
    packet.additionals = [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: edns.size ?? 1232,
        flags: edns.dnssecOk ? dnsPacket.DNSSEC_OK : 0,
        extendedRcode: 0,
        ednsVersion: 0,
        flag_do: edns.dnssecOk ?? false,
        options: (edns.options ?? []) as never,
      },
    ];
  return dnsPacket.encode(packet);
}

interface Answered {
  readonly raw: Buffer;
  readonly query: Buffer;
  readonly packet: DecodedPacket & { rcode: string };
  /** `A 10.46.0.1` and so on, in order. */
  readonly answers: string[];
  readonly errors: { code: number; text: string }[];
}

async function ask(gateway: TestGateway, asked: Ask): Promise<Answered> {
  const query = question(asked);
  const reply = await gateway.proxy.handle(query, asked.transport ?? "udp");
  assert.ok(reply !== undefined, "a reply is due");
  const raw = Buffer.from(reply);
  const packet = dnsPacket.decode(raw) as Answered["packet"];
  assert.equal(packet.id, query.readUInt16BE(0), "the client's ID");
  const answers = (packet.answers ?? []).map(
    (answer) => `${answer.type} ${"data" in answer ? answer.data : ""}`,
  );
  const errors = (packet.additionals ?? [])
    .flatMap((record) => (record.type === "OPT" ? (record.options as { code: number; data: Buffer }[]) : []))
    .filter((option) => option.code === 15)
    .map(({ data }) => ({ code: data.readUInt16BE(0), text: data.subarray(2).toString() }));
  return { raw, query, packet, answers, errors };
}

function ttls(packet: DecodedPacket, type: string): number[] {
  return (packet.answers ?? [])
    .filter((answer) => answer.type === type)
    .map((answer) => ("ttl" in answer ? (answer.ttl ?? -1) : -1));
}

/** The upstream's reply to the last question of this name and type, with the client's ID and letter case. */
function upstreamBytes(gateway: TestGateway, { name, type = "A" }: Ask, query: Buffer): Buffer {
  const number = dnsPacket.encode({ questions: [{ name: ".", type: type as RecordType }] }).readUInt16BE(13);
  const exchange = gateway.upstream.exchanges.findLast(
    (candidate) => candidate.name === name.toLowerCase() && candidate.type === number,
  );
  const bytes = Buffer.from(exchange?.reply ?? []);
  query.copy(bytes, 0, 0, 2);
  query.copy(bytes, 12, 12, query.indexOf(0, 12));
  return bytes;
}

async function withGateway(
  options: TestGatewayOptions,
  work: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await startTestGateway(options);
  try {
    await work(gateway);
  } finally {
    await gateway.close();
  }
}

describe("DNS proxy before a real upstream", () => {
  let gateway: TestGateway;
  before(async () => {
    gateway = await startTestGateway();
  });
  after(() => gateway.close());

  const edns = { size: 1232 };
  const unchanged: [why: string, asked: Ask][] = [
    ["A with only A", { name: "v4only.example" }],
    ["A with A and AAAA", { name: "dual.example" }],
    ["A through CNAME to A", { name: "alias4.example" }],
    ["A of a dangling CNAME", { name: "dangling.example" }],
    ["A of a circle of CNAMEs", { name: "circle.example" }],
    ["A with neither", { name: "nodata.example" }],
    ["A of no such name", { name: "nosuch.example" }],
    ["A SERVFAIL without AAAA", { name: "servfail.example" }],
    ["A SERVFAIL though AAAA exists", { name: "afail.example" }],
    ["A NXDOMAIN though AAAA exists", { name: "adenied.example" }],
    ["A REFUSED", { name: "refused.example" }],
    ["A NODATA, AAAA NXDOMAIN", { name: "aaaadenied.example" }],
    ["A with a mute AAAA", { name: "aaaamute4.example" }],
    ["A cut over UDP", { name: "cut.example" }],
    ["A with only an IPv4-mapped AAAA", { name: "mapped.example" }],
    ["A of a signed AAAA with DO", { name: "signed6.example", edns: { dnssecOk: true } }],
    [
      "A with DO and CD",
      { name: "v6only.example", edns: { dnssecOk: true }, flags: dnsPacket.CHECKING_DISABLED },
    ],
    ["AAAA with only AAAA", { name: "v6only.example", type: "AAAA" }],
    ["AAAA with both", { name: "dual.example", type: "AAAA" }],
    ["AAAA through CNAME", { name: "alias.example", type: "AAAA" }],
    ["AAAA with only A", { name: "v4only.example", type: "AAAA" }],
    ["HTTPS", { name: "svc.example", type: "HTTPS" }],
    ["a type nobody knows", { name: "v6only.example", type: "UNKNOWN_65399" }],
    ["TXT too large for UDP", { name: "big.example", type: "TXT" }],
    ["TXT too large for EDNS", { name: "big.example", type: "TXT", edns }],
    ["TXT within a large EDNS size", { name: "big.example", type: "TXT", edns: { size: 8192 } }],
    ["mixed case", { name: "V4onlY.eXample" }],
  ];
  for (const [why, asked] of unchanged)
    for (const transport of ["udp", "tcp"] as const)
      test(`unchanged over ${transport}: ${why}`, async () => {
        const type = asked.type === "HTTPS" ? "UNKNOWN_65" : (asked.type ?? "A");
        const { raw } = await ask(gateway, { ...asked, type, transport });
        assert.deepEqual(raw, upstreamBytes(gateway, { ...asked, type }, raw));
      });

  const made: [why: string, asked: Ask, answers: string[]][] = [
    ["only AAAA", { name: "v6only.example" }, ["A <2001:db8:46::80>", "AAAA 2001:db8:46::80"]],
    [
      "AAAA behind two CNAMEs",
      { name: "alias.example" },
      ["CNAME middle.example", "CNAME v6only.example", "A <2001:db8:46::80>", "AAAA 2001:db8:46::80"],
    ],
    [
      "several, order kept",
      { name: "several.example" },
      [3, 1, 2].map((n) => `A <2001:db8:46::${n}>`).concat([3, 1, 2].map((n) => `AAAA 2001:db8:46::${n}`)),
    ],
    [
      "a link-local one left out",
      { name: "linklocal.example" },
      ["A <2001:db8:46::92>", "AAAA 2001:db8:46::92"],
    ],
    ["AAAA cut over UDP", { name: "aaaacut.example" }, ["A <2001:db8:46::91>", "AAAA 2001:db8:46::91"]],
    [
      "DO without signatures",
      { name: "v6only.example", edns: { dnssecOk: true } },
      ["A <2001:db8:46::80>", "AAAA 2001:db8:46::80"],
    ],
    [
      "signed, but the client asks for no signatures",
      { name: "signed6.example", edns },
      ["A <2001:db8:46::93>", "AAAA 2001:db8:46::93"],
    ],
    [
      "CD alone",
      { name: "v6only.example", flags: dnsPacket.CHECKING_DISABLED },
      ["A <2001:db8:46::80>", "AAAA 2001:db8:46::80"],
    ],
  ];
  for (const [why, asked, expected] of made)
    for (const transport of ["udp", "tcp"] as const)
      test(`synthesized over ${transport}: ${why}`, async () => {
        const { packet, answers, errors } = await ask(gateway, { ...asked, transport });
        const wanted = expected.map((text) =>
          text.replace(/<(.*)>/, (_, host6) => gateway.mappings.get(host6) ?? "?"),
        );
        assert.deepEqual(answers, wanted);
        assert.equal(packet.rcode, "NOERROR");
        assert.equal(packet.flag_ad || packet.flag_aa || packet.flag_tc, false);
        if (asked.edns === undefined) assert.equal(packet.additionals?.length, 0);
        else {
          const text = `DNS46 ${wanted.find((line) => line.startsWith("A "))!.slice(2)} <- `;
          assert.ok(
            errors.length === 1 && errors[0]!.code === 29 && errors[0]!.text.startsWith(text),
            JSON.stringify(errors),
          );
        }
      });

  test("the question comes back in the client's letters", async () => {
    for (const name of ["LoWer.eXample", "V6only.Example"])
      assert.equal((await ask(gateway, { name })).packet.questions?.[0]?.name, name);
  });

  const lifetimes: [name: string, maxTtl: number, ttl: number][] = [
    ["v6only.example", 3600, 120], // the SOA's MINIMUM
    ["brief.example", 3600, 30], // the AAAA's own
    ["nosoa.example", 3600, 600], // RFC 6147 §5.1.7
    ["v6only.example", 20, 20], // maxDNS46TTL
  ];
  for (const [name, maxTtl, ttl] of lifetimes)
    test(`TTL ${ttl} for ${name} with maxDNS46TTL ${maxTtl}`, () =>
      withGateway({ config: { maxTtl } }, async (own) => {
        assert.deepEqual(ttls((await ask(own, { name })).packet, "A"), [ttl]);
      }));

  test("at most eight of a crowd get an A, and the text gives way before the answer does", async () => {
    const small = await ask(gateway, { name: "crowd.example", edns: { size: 512 } });
    assert.equal(small.answers.filter((line) => line.startsWith("A ")).length, 8);
    assert.ok(small.raw.length <= 512 && small.errors.length === 0);
    const large = await ask(gateway, { name: "crowd.example", edns: { size: 4096 } });
    assert.equal(large.errors.length, 1);
  });

  test("A and AAAA asked at once reach the upstream as two questions", async () => {
    const count = gateway.upstream.exchanges.length;
    await Promise.all([
      ask(gateway, { name: "v6only.example" }),
      ask(gateway, { name: "v6only.example", type: "AAAA" }),
    ]);
    const asked = gateway.upstream.exchanges.slice(count).filter(({ name }) => name === "v6only.example");
    assert.deepEqual(asked.map(({ type }) => type).sort(), [1, 28]);
  });

  const failing: [why: string, asked: Ask, text: RegExp][] = [
    ["A NODATA, AAAA SERVFAIL", { name: "aaaafail.example", edns }, /SERVFAIL for AAAA/],
    ["A NODATA, AAAA REFUSED", { name: "aaaarefused.example", edns }, /REFUSED for AAAA/],
    ["A NODATA, AAAA mute", { name: "aaaamute.example", edns }, /no answer for AAAA/],
    ["mute", { name: "mute.example", edns }, /no DNS upstream answers/],
  ];
  for (const [why, asked, text] of failing)
    test(`SERVFAIL within 3 s: ${why}`, async () => {
      const startedAt = performance.now();
      const { packet, errors } = await ask(gateway, asked);
      assert.equal(packet.rcode, "SERVFAIL");
      assert.match(errors[0]?.text ?? "", text);
      assert.ok(performance.now() - startedAt < 3000);
    });

  test("a reply under another ID or to another question is not believed", async () => {
    const before = gateway.proxy.stats().failures["upstream-mismatch"];
    const { answers } = await ask(gateway, { name: "forged.example" });
    assert.deepEqual(answers, ["A 192.0.2.10"]);
    assert.ok(gateway.proxy.stats().failures["upstream-mismatch"] >= before + 2);
  });

  test("every question reaches the upstream under a new ID", async () => {
    const ids = new Set<number>();
    for (let round = 0; round < 20; round++) {
      await ask(gateway, { name: "v4only.example", type: "TXT" });
      ids.add(Buffer.from(gateway.upstream.exchanges.at(-1)!.query).readUInt16BE(0));
    }
    assert.ok(ids.size > 15, `${ids.size} different IDs`);
  });

  const odd: [why: string, bytes: (query: Buffer) => Buffer, rcode: string | undefined][] = [
    ["no bytes", () => Buffer.alloc(0), undefined],
    ["eleven bytes", (query) => query.subarray(0, 11), undefined],
    ["a reply", (query) => patch(query, 2, 0x80), undefined],
    ["no question", (query) => patch(query, 5, 0), "FORMERR"],
    ["two questions", (query) => patch(query, 5, 2), "FORMERR"],
    ["opcode NOTIFY", (query) => patch(query, 2, 0x20), "NOTIMP"],
    ["opcode UPDATE", (query) => patch(query, 2, 0x28), "NOTIMP"],
    ["a name that never ends", (query) => query.subarray(0, 20), "FORMERR"],
    ["a compressed question", (query) => patch(query, 12, 0xc0), "FORMERR"],
    ["an additional record that is not there", (query) => patch(query, 11, 1), "FORMERR"],
    ["AXFR", (query) => patch(query, query.length - 3, 252), "NOTIMP"],
  ];
  for (const [why, bytes, rcode] of odd)
    test(`${rcode ?? "silence"} for ${why}`, async () => {
      const reply = await gateway.proxy.handle(bytes(question({ name: "v6only.example" })), "udp");
      assert.equal(reply && (dnsPacket.decode(Buffer.from(reply)) as Answered["packet"]).rcode, rcode);
    });

  test("counts questions, replies, and failures by name", async () => {
    const stats = gateway.proxy.stats();
    assert.ok(stats.synthesized > 10 && stats.responses.NOERROR! > 10 && stats.responses.FORMERR! >= 5);
    assert.equal(stats.failures.short, 2);
    assert.equal(stats.failures["not-a-question"], 1);
    assert.equal(stats.failures.internal, 0);
  });
});

function patch(query: Buffer, offset: number, value: number): Buffer {
  const bytes = Buffer.from(query);
  bytes[offset] = value;
  return bytes;
}

describe("DNS46 without a mapping", () => {
  const edns = { size: 1232 };
  test("pool exhausted: the sorry IP with a TTL of at most 60", () =>
    withGateway(
      { config: { sorryIp: "10.244.40.100" }, mapHost: async () => ({ kind: "exhausted" }) },
      async (gateway) => {
        const { answers, packet, errors } = await ask(gateway, { name: "v6only.example", edns });
        assert.deepEqual(answers, ["A 10.244.40.100", "AAAA 2001:db8:46::80"]);
        assert.deepEqual(ttls(packet, "A"), [60]);
        assert.match(errors[0]!.text, /sorry IP/);
        assert.deepEqual(
          [gateway.proxy.stats().failures.exhausted, gateway.proxy.stats().synthesized],
          [1, 0],
        );
      },
    ));

  test("pool exhausted without a sorry IP: SERVFAIL that says so", () =>
    withGateway({ mapHost: async () => ({ kind: "exhausted" }) }, async (gateway) => {
      const { packet, errors } = await ask(gateway, { name: "v6only.example", edns });
      assert.equal(packet.rcode, "SERVFAIL");
      assert.match(errors[0]!.text, /pool is exhausted/);
    }));

  const stores: [why: string, mapHost: () => Promise<never>][] = [
    ["rejects", () => Promise.reject(new Error("store away"))],
    ["hangs", () => new Promise(() => undefined)],
  ];
  for (const [why, mapHost] of stores)
    test(`store ${why}: SERVFAIL that says so, and names that need none still resolve`, () =>
      withGateway({ mapHost, config: { sorryIp: "10.244.40.100" } }, async (gateway) => {
        const { packet, errors } = await ask(gateway, { name: "v6only.example", edns });
        assert.equal(packet.rcode, "SERVFAIL");
        assert.match(errors[0]!.text, /store does not answer/);
        assert.deepEqual((await ask(gateway, { name: "v4only.example" })).answers, ["A 192.0.2.4"]);
      }));

  test("one of several mapped: the answer has that one", () =>
    withGateway(
      {
        mapHost: async (host6) =>
          host6.endsWith("::1") ? { kind: "mapped", nat4: "10.46.0.9" } : { kind: "exhausted" },
      },
      async (gateway) => {
        const { answers } = await ask(gateway, { name: "several.example" });
        assert.deepEqual(
          answers.filter((line) => line.startsWith("A ")),
          ["A 10.46.0.9"],
        );
      },
    ));

  test("no configuration: silence, counted", () =>
    withGateway({}, async (gateway) => {
      gateway.proxy.configure(undefined);
      assert.equal(await gateway.proxy.handle(question({ name: "v4only.example" }), "udp"), undefined);
      assert.equal(gateway.proxy.stats().failures.disabled, 1);
    }));
});
