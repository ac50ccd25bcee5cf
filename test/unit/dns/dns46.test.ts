import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ipv6ToBytes } from "../../../src/addresses.ts";
import { decide, lacksA, whyUnchanged } from "../../../src/dns/dns46.ts";
import { flag, type Message, recordType, scanMessage } from "../../../src/dns/message.ts";
import { nameToText, textToName } from "../../../src/dns/name.ts";
import { type DnsPolicy, defaultPolicy, rulesOf } from "../../../src/dns/policy.ts";
import { admit, type Query } from "../../../src/dns/query.ts";
import { createWriter } from "../../../src/dns/writer.ts";
import { isRemoteHost } from "../../../src/remote-host.ts";

type Line = readonly [owner: string, type: keyof typeof recordType, data: string | Uint8Array, ttl?: number];

interface Parts {
  readonly question?: string;
  readonly type?: keyof typeof recordType;
  readonly flags?: number;
  readonly answer?: readonly Line[];
  readonly authority?: readonly Line[];
  /** The OPT record's TTL: extended RCODE and flags. */
  readonly opt?: number;
}

function message({
  question = "www.example",
  type = "A",
  flags = flag.qr,
  answer = [],
  authority = [],
  opt,
}: Parts): Message {
  const writer = createWriter();
  for (const value of [1, flags, 1, answer.length, authority.length, opt === undefined ? 0 : 1])
    writer.u16(value);
  writer.name(textToName(question));
  writer.u16(recordType[type]);
  writer.u16(1);
  for (const [owner, kind, data, ttl = 300] of [...answer, ...authority])
    writer.record(textToName(owner), recordType[kind], 1, ttl, () => {
      if (data instanceof Uint8Array) writer.raw(data);
      else if (kind === "AAAA") writer.raw(ipv6ToBytes(data));
      else writer.name(textToName(data));
    });
  if (opt !== undefined) writer.record(Uint8Array.of(0), recordType.OPT, 1232, opt, () => undefined);
  return scanMessage(writer.finish())!;
}

function query(parts: Parts = {}): Query {
  const admission = admit(message({ flags: flag.rd, ...parts }).bytes);
  assert.ok(admission.kind === "query");
  return admission.query;
}

const a = Uint8Array.of(192, 0, 2, 1);
const soa = (minimum: number) =>
  Uint8Array.of(0, 0, ...new Uint8Array(16), 0, 0, minimum >> 8, minimum & 255);
const dnssecOk = 0x8000;

describe("an A reply that lacks an A", () => {
  const cases: [why: string, reply: Parts, expected: boolean][] = [
    ["empty", {}, true],
    ["only a CNAME", { answer: [["www.example", "CNAME", "x.example"]] }, true],
    [
      "a CNAME and the A behind it",
      {
        answer: [
          ["www.example", "CNAME", "x.example"],
          ["x.example", "A", a],
        ],
      },
      false,
    ],
    ["NXDOMAIN", { flags: flag.qr | 3 }, false],
    ["SERVFAIL", { flags: flag.qr | 2 }, false],
    ["BADVERS, whose low bits say NOERROR", { opt: 0x01000000 }, false],
    ["cut", { flags: flag.qr | flag.tc }, false],
    ["an A that is only glue", { authority: [["ns.example", "A", a]] }, true],
  ];
  for (const [why, reply, expected] of cases)
    test(`${why}: ${expected}`, () => assert.equal(lacksA(message(reply)), expected));
});

describe("a question whose answer DNS46 may make", () => {
  const excluding = {
    excludeNames: ["Excluded.example", "example.net"],
    excludeClients: ["10.9.0.0/16", "2001:db8:9::/48"],
  };
  const cases: [
    why: string,
    parts: Parts,
    policy: Partial<DnsPolicy>,
    client: string,
    expected: string | undefined,
  ][] = [
    ["A", {}, {}, "", undefined],
    ["AAAA", { type: "AAAA" }, {}, "", "not a question for A"],
    ["AAAA that gets the A, too", { type: "AAAA" }, { addToAaaa: true }, "", undefined],
    ["SOA", { type: "SOA" }, { addToAaaa: true }, "", "not a question for A"],
    ["A with CD", { flags: flag.cd }, {}, "", undefined],
    ["A with DO", { opt: dnssecOk }, {}, "", undefined],
    [
      "A with DO and CD",
      { opt: dnssecOk, flags: flag.cd },
      {},
      "",
      "the client validates by itself (DO and CD)",
    ],
    [
      "A with DO and CD, DNSSEC may be broken",
      { opt: dnssecOk, flags: flag.cd },
      { breakDnssec: true },
      "",
      "the client validates by itself (DO and CD)",
    ],
    ["A with TSIG", { authority: [["key.example", "TSIG", a]] }, {}, "", "the question carries a TSIG"],
    [
      "an excluded name, in another case",
      { question: "exCluded.Example" },
      excluding,
      "",
      "the name is excluded",
    ],
    ["a name below one", { question: "a.b.excluded.example" }, excluding, "", "the name is excluded"],
    ["a name that only ends alike", { question: "notexcluded.example" }, excluding, "", undefined],
    ["the name above one", { question: "example" }, excluding, "", undefined],
    [
      "the root with everything excluded",
      { question: "." },
      { excludeNames: ["."] },
      "",
      "the name is excluded",
    ],
    ["any name with everything excluded", {}, { excludeNames: ["."] }, "", "the name is excluded"],
    ["an excluded IPv4 client", {}, excluding, "10.9.1.2", "the client is excluded"],
    ["an excluded IPv6 client", {}, excluding, "2001:db8:9::1", "the client is excluded"],
    ["another client", {}, excluding, "10.8.1.2", undefined],
  ];
  for (const [why, parts, policy, client, expected] of cases)
    test(`${why}: ${expected ?? "may"}`, () =>
      assert.equal(
        whyUnchanged(query(parts), () => client, rulesOf({ ...defaultPolicy, ...policy })),
        expected,
      ));

  test("the client's address is not asked for unless a rule needs it", () =>
    assert.equal(
      whyUnchanged(query(), () => assert.fail("asked for")),
      undefined,
    ));
});

describe("the decision once AAAA is known", () => {
  const hosts: Line[] = [["www.example", "AAAA", "2001:db8::1"]];
  const cases: [why: string, asked: Parts, aReply: Parts, aaaaReply: Parts, expected: string][] = [
    ["AAAA", {}, {}, { answer: hosts }, "2001:db8::1 of www.example for 300 s"],
    [
      "in another case",
      { question: "WWW.Example" },
      {},
      { answer: hosts },
      "2001:db8::1 of WWW.Example for 300 s",
    ],
    ["none", {}, {}, {}, "pass"],
    ["NXDOMAIN", {}, {}, { flags: flag.qr | 3 }, "pass"],
    ["SERVFAIL", {}, {}, { flags: flag.qr | 2 }, "fail"],
    ["NOTIMP", {}, {}, { flags: flag.qr | 4 }, "fail"],
    ["AAAA of another name", {}, {}, { answer: [["other.example", "AAAA", "2001:db8::1"]] }, "pass"],
    ["only excluded ones", {}, {}, { answer: [["www.example", "AAAA", "::ffff:192.0.2.1"]] }, "pass"],
    [
      "a chain out of order",
      {},
      {},
      {
        answer: [
          ["c.example", "AAAA", "2001:db8::1"],
          ["b.example", "CNAME", "c.example"],
          ["www.example", "CNAME", "b.example"],
        ],
      },
      "CNAME b.example, CNAME c.example, 2001:db8::1 of c.example for 300 s",
    ],
    [
      "a DNAME",
      {},
      {},
      {
        answer: [
          ["example", "DNAME", "net"],
          ["www.example", "CNAME", "www.net"],
          ["www.net", "AAAA", "2001:db8::1"],
        ],
      },
      "DNAME net, CNAME www.net, 2001:db8::1 of www.net for 300 s",
    ],
    [
      "a circle",
      {},
      {},
      {
        answer: [
          ["www.example", "CNAME", "b.example"],
          ["b.example", "CNAME", "www.example"],
        ],
      },
      "pass",
    ],
    ["a CNAME whose data is no name", {}, {}, { answer: [["www.example", "CNAME", a], ...hosts] }, "pass"],
    ["DO, AAAA signed", { opt: dnssecOk }, {}, { answer: [...hosts, ["www.example", "RRSIG", a]] }, "pass"],
    [
      "DO, absence of A signed",
      { opt: dnssecOk },
      { authority: [["example", "RRSIG", a]] },
      { answer: hosts },
      "pass",
    ],
    ["DO, nothing signed", { opt: dnssecOk }, {}, { answer: hosts }, "2001:db8::1 of www.example for 300 s"],
    [
      "signed without DO",
      {},
      {},
      { answer: [...hosts, ["www.example", "RRSIG", a]] },
      "2001:db8::1 of www.example for 300 s",
    ],
    [
      "a short SOA MINIMUM",
      {},
      { authority: [["example", "SOA", soa(60), 900]] },
      { answer: hosts },
      "2001:db8::1 of www.example for 60 s",
    ],
    [
      "a short SOA TTL",
      {},
      { authority: [["example", "SOA", soa(900), 50]] },
      { answer: hosts },
      "2001:db8::1 of www.example for 50 s",
    ],
    [
      "no SOA",
      {},
      {},
      { answer: [["www.example", "AAAA", "2001:db8::1", 86400]] },
      "2001:db8::1 of www.example for 600 s",
    ],
    [
      "a TTL with the top bit set",
      {},
      {},
      { answer: [["www.example", "AAAA", "2001:db8::1", 0xffffffff]] },
      "2001:db8::1 of www.example for 0 s",
    ],
    [
      "maxTtl",
      {},
      { authority: [["example", "SOA", soa(9000), 9000]] },
      { answer: [["www.example", "AAAA", "2001:db8::1", 9000]] },
      "2001:db8::1 of www.example for 3600 s",
    ],
  ];
  for (const [why, asked, aReply, aaaaReply, expected] of cases)
    test(`${why}: ${expected}`, () => {
      const decision = decide(query(asked), message(aReply), message({ type: "AAAA", ...aaaaReply }), 3600);
      if (decision.kind !== "synthesize") return assert.equal(decision.kind, expected);
      const links = decision.chain.map(
        ({ type, target }) => `${type === recordType.CNAME ? "CNAME" : "DNAME"} ${nameToText(target)}`,
      );
      const [host] = decision.hosts;
      assert.deepEqual(host?.address, ipv6ToBytes("2001:db8::1"));
      assert.equal(
        [...links, `2001:db8::1 of ${nameToText(decision.owner)} for ${decision.ttl} s`].join(", "),
        expected,
      );
    });
});

describe("hosts worth a mapping", () => {
  const cases: [address: string, expected: boolean][] = [
    ["2001:db8::1", true],
    ["fc00::1", true],
    ["64:ff9b::c000:201", true],
    ["fec0::1", true],
    ["::", false],
    ["::1", false],
    ["::2", false],
    ["::ffff:192.0.2.1", false],
    ["fe80::1", false],
    ["febf::1", false],
    ["ff02::1", false],
  ];
  for (const [address, expected] of cases)
    test(`${address}: ${expected}`, () => assert.equal(isRemoteHost(ipv6ToBytes(address)), expected));
});
