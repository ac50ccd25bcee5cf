import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { flag, type Message } from "../../../src/dns/message.ts";
import { type DnsCertificates, makeDnsCertificates } from "../../support/dns-certificates.ts";
import { questionFor, type Upstreams, withUpstreams } from "../../support/dns-upstreams.ts";
import { needs } from "../../support/exec.ts";
import { replyTo, type Script, type ScriptedQuestion } from "../../support/scripted-upstream.ts";

/** UDP only sends to TCP. */
const byTcp =
  (script: Script): Script =>
  (question) =>
    question.transport === "udp" ? question.send(replyTo(question.query, { cut: true })) : script(question);
const answer: Script = ({ query, name, send }) =>
  send(replyTo(query, { answer: `192.0.2.${Number.parseInt(name, 10) || 0}` }));

async function askAll({ resolver }: Upstreams, count: number, first = 0): Promise<void> {
  const replies = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      resolver.resolve(questionFor(`${first + index}.example`), true),
    ),
  );
  for (const [index, { bytes }] of replies.entries()) assert.equal(bytes.at(-1), first + index);
}

describe("TCP to an upstream", { concurrency: true }, () => {
  test("200 questions at once share a few connections; the next uses one of them", () =>
    withUpstreams([byTcp(answer)], {}, async (upstreams) => {
      await askAll(upstreams, 200);
      await askAll(upstreams, 1, 200);
      const { connections } = upstreams.servers[0]!;
      assert.ok(connections.length <= 4, `${connections.length} connections`);
    }));

  test("replies in reverse order", () => {
    const held: ScriptedQuestion[] = [];
    const reversed = byTcp((question) => {
      if (held.push(question) < 50) return;
      for (const each of held.splice(0).reverse()) answer(each);
    });
    return withUpstreams([reversed], {}, (upstreams) => askAll(upstreams, 50));
  });

  for (const after of [1, 3, 20])
    test(`a server that closes after ${after} answers: the rest is asked again on new connections`, () =>
      withUpstreams(
        [
          byTcp((question) => {
            if (question.nth < after) answer(question);
            if (question.nth === after - 1) question.close();
          }),
        ],
        {},
        async (upstreams) => {
          for (let first = 0; first < 12; first += 4) await askAll(upstreams, 4, first);
        },
      ));

  test("a connection closed while idle: the next question has a new one", () =>
    withUpstreams(
      [
        byTcp((question) => {
          answer(question);
          question.close();
        }),
      ],
      {},
      async (upstreams) => {
        for (let number = 0; number < 3; number++) await askAll(upstreams, 1, number);
        assert.equal(upstreams.servers[0]!.connections.length, 3);
      },
    ));

  test("a connection that goes mute is left for a new one, by the same question", () =>
    withUpstreams(
      [byTcp((question) => (question.connection > 0 || question.nth === 0) && answer(question))],
      {},
      async (upstreams) => {
        await askAll(upstreams, 1, 1);
        await askAll(upstreams, 1, 2);
        assert.equal(upstreams.servers[0]!.connections.length, 2);
      },
    ));

  test("a server that does not listen on TCP: the next upstream is asked, and it is said once", () =>
    withUpstreams([byTcp(answer), answer], {}, async (upstreams) => {
      const { servers, said } = upstreams;
      servers[0]!.refuseConnections();
      for (let number = 0; number < 3; number++) await askAll(upstreams, 1, number);
      assert.equal(said.filter(({ msg }) => msg.includes("no TCP connection")).length, 1);
    }));

  test("TCP only: not one datagram leaves", () =>
    withUpstreams([answer], { settings: { letterCase: "auto", tcp: true } }, async (upstreams) => {
      await askAll(upstreams, 200);
      const [server] = upstreams.servers;
      assert.ok(
        server!.asked.every(({ transport, name }) => transport === "tcp" && /^\d+\.example$/.test(name)),
      );
      assert.ok(server!.connections.length <= 4);
      assert.equal(upstreams.resolver.stats()[0]!.transport, "tcp");
    }));

  test("a client over UDP is not given more than it takes, when 0x20 sends its question to TCP", () => {
    const large = {
      additional: Buffer.concat([Buffer.from([0, 0, 16, 0, 1, 0, 0, 0, 9, 2, 88]), text(600)]),
    };
    const script: Script = ({ query, transport, send }) => {
      const reply = replyTo(query, transport === "tcp" ? large : {});
      if (transport === "udp")
        for (let at = 13; reply[at] !== 0; at++) reply[at]! ^= isLetter(reply[at]!) ? 32 : 0;
      send(reply);
    };
    return withUpstreams([script], {}, async ({ resolver }) => {
      const cut = await resolver.resolve(questionFor("www.example"), false);
      assert.ok((cut.flags & flag.tc) !== 0 && cut.bytes.length <= 512 && cut.records.length === 0);
      const whole = await resolver.resolve(questionFor("www.example", { ednsSize: 1232 }), false);
      assert.ok((whole.flags & flag.tc) === 0 && whole.bytes.length > 600);
    });
  });
});

describe("a reply by TCP for a client over UDP fits one datagram", { concurrency: true }, () => {
  const rows: [ednsSize: number | undefined, length: number, cut: boolean][] = [
    [undefined, 300, false],
    [undefined, 600, true],
    [1232, 1100, false],
    [1232, 1300, true],
    [4096, 1100, false],
    [4096, 3000, true],
    [65_535, 60_000, true],
  ];
  for (const [ednsSize, length, cut] of rows)
    test(`EDNS ${ednsSize ?? "absent"}, a text of ${length}: ${cut ? "cut" : "whole"}`, () => {
      const rdlength = Buffer.alloc(2);
      rdlength.writeUInt16BE(length);
      const head = Buffer.concat([Buffer.from([0, 0, 16, 0, 1, 0, 0, 0, 9]), rdlength]);
      const additional = Buffer.concat([head, text(length)]);
      const script: Script = ({ query, send }) => send(replyTo(query, { additional }));
      const options = ednsSize === undefined ? {} : { ednsSize };
      return withUpstreams(
        [script],
        { settings: { letterCase: "auto", tcp: true } },
        async ({ resolver }) => {
          const reply = await resolver.resolve(questionFor("www.example", options), false);
          assert.equal((reply.flags & flag.tc) !== 0, cut);
          assert.ok(reply.bytes.length <= 1232);
          const whole = await resolver.resolve(questionFor("www.example", options), true);
          assert.ok((whole.flags & flag.tc) === 0 && whole.bytes.length > length);
        },
      );
    });
});

function text(length: number): Buffer {
  const strings = Array.from({ length: length / 100 }, () => Buffer.from(`c${"x".repeat(99)}`));
  return Buffer.concat(strings);
}

function isLetter(octet: number): boolean {
  return /[a-z]/i.test(String.fromCharCode(octet));
}

describe("DNS over TLS", { concurrency: true, ...needs("openssl") }, () => {
  let certificates: DnsCertificates;
  before(async () => {
    certificates = await makeDnsCertificates();
  });
  after(() => certificates.remove());

  type Server = "good" | "expired" | "stranger";
  const withTls = (
    server: Server,
    name: string,
    work: (upstreams: Upstreams) => Promise<void>,
    scripts: readonly Script[] = [answer],
  ) =>
    withUpstreams(
      scripts,
      { settings: { letterCase: "auto", tls: { name, ca: certificates.ca } }, tls: certificates[server] },
      work,
    );

  for (const name of ["dns.test", "127.0.0.1"])
    test(`the certificate is for ${name}: 200 questions over a few connections`, () =>
      withTls("good", name, async (upstreams) => {
        await askAll(upstreams, 200);
        const [server] = upstreams.servers;
        assert.ok(server!.connections.length <= 4);
        assert.ok(server!.asked.every(({ transport }) => transport === "tls"));
        assert.equal(upstreams.resolver.stats()[0]!.transport, "tls");
      }));

  const refused: [why: string, server: Server, name: string, said: RegExp][] = [
    ["another name", "good", "other.test", /not for other\.test; name what it is for by --dns-tls$/],
    ["another address", "good", "192.0.2.1", /not for 192\.0\.2\.1/],
    ["expired", "expired", "dns.test", /not valid now \(CERT_HAS_EXPIRED\); check the clock/],
    ["by an unknown authority", "stranger", "dns.test", /signed by nobody known .*--dns-tls-ca$/],
  ];
  for (const [why, server, name, pattern] of refused)
    test(`a certificate that is ${why}: not one question leaves, and what to do is said once`, () =>
      withTls(server, name, async ({ resolver, servers, said }) => {
        for (let round = 0; round < 2; round++)
          await assert.rejects(resolver.resolve(questionFor("1.example"), true), {
            code: "EG46_UPSTREAM_UNAVAILABLE",
          });
        assert.equal(servers[0]!.asked.length, 0);
        const lines = said.filter(({ msg }) => msg.includes("no TLS connection"));
        assert.equal(lines.length, 1);
        assert.match(lines[0]!.msg, pattern);
        assert.match(resolver.stats()[0]!.problem ?? "", pattern);
      }));

  test("a new connection resumes the session", () =>
    withTls(
      "good",
      "dns.test",
      async (upstreams) => {
        for (let number = 0; number < 3; number++) await askAll(upstreams, 1, number);
        const { connections } = upstreams.servers[0]!;
        assert.deepEqual(
          connections.map(({ resumed }) => resumed),
          [false, true, true],
        );
      },
      [
        (question) => {
          answer(question);
          question.close();
        },
      ],
    ));

  const padding = (length: number) => ({ code: 12, data: Buffer.alloc(length) });
  const lengths: [why: string, query: Buffer, wanted: (length: number) => number][] = [
    ["without EDNS: as it is", questionFor("1.example"), (length) => length],
    ["with EDNS: a multiple of 128", questionFor("1.example", { ednsSize: 1232 }), () => 128],
    [
      "just over 128",
      questionFor("1.example", { ednsSize: 1232, options: [{ code: 65001, data: Buffer.alloc(90) }] }),
      () => 256,
    ],
    [
      "that padding would make too long: as it is",
      questionFor("1.example", { ednsSize: 1232, options: [{ code: 65001, data: Buffer.alloc(65_480) }] }),
      (length) => length,
    ],
    [
      "padded by the client: as it is",
      questionFor("1.example", { ednsSize: 1232, options: [padding(7)] }),
      (length) => length,
    ],
  ];
  for (const [why, query, wanted] of lengths)
    test(`padding of a question ${why}`, () =>
      withTls("good", "dns.test", async ({ resolver, servers }) => {
        const before = Buffer.from(query);
        await resolver.resolve(query, true);
        assert.deepEqual(query, before, "the client's own bytes are not written to");
        assert.equal(servers[0]!.asked[0]!.query.length, wanted(query.length));
      }));

  test("padding of a reply is not shown to a client that did not pad", () => {
    const opt = (options: Buffer) =>
      Buffer.concat([Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.length]), options]);
    const expire = Buffer.from([0, 9, 0, 0]);
    const padded = Buffer.concat([expire, Buffer.from([0, 12, 0, 30]), Buffer.alloc(30)]);
    return withTls(
      "good",
      "dns.test",
      async ({ resolver }) => {
        const clean = await resolver.resolve(questionFor("1.example", { ednsSize: 1232 }), true);
        assert.deepEqual(optData(clean), expire);
        const own = await resolver.resolve(
          questionFor("1.example", { ednsSize: 1232, options: [padding(7)] }),
          true,
        );
        assert.deepEqual(optData(own), padded);
      },
      [({ query, send }) => send(replyTo(query, { additional: opt(padded) }))],
    );
  });
});

function optData({ bytes, opt }: Message): Buffer {
  return Buffer.from(bytes.subarray(opt!.rdata, opt!.end));
}
