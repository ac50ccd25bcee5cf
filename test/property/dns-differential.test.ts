/** Names that need no DNS46: whatever the upstream says goes back byte for byte, but for the ID. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import dnsPacket from "dns-packet";
import fc from "fast-check";
import { pino } from "pino";
import { createDnsProxy, type DnsProxy } from "../../src/dns/proxy.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";

const seed = Number(process.env.EGRESS46_SEED ?? 46);
const octets = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });

interface ZoneRecord {
  /** 0: the question's name by a pointer, 1: the root, else a name of its own. */
  readonly owner: number;
  readonly type: number;
  readonly ttl: number;
  readonly data: Uint8Array;
}

/** Common types, types nobody knows, and data that need not make sense for them. */
const type = fc.oneof(
  fc.constantFrom(1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 46, 64, 65, 257),
  fc.integer({ min: 300, max: 65_000 }),
);
const zoneRecord: fc.Arbitrary<ZoneRecord> = fc.record({
  owner: fc.integer({ min: 0, max: 3 }),
  type,
  ttl: fc.integer({ min: 0, max: 0xffffffff }),
  data: octets(0, 40),
});
const records = fc.array(zoneRecord, { maxLength: 4 });
const content = fc.record({
  answers: records,
  authorities: records,
  additionals: records,
  /** AA, AD and the Z bit as they come. */
  flags: fc.integer({ min: 0, max: 0xffff }).map((bits) => bits & 0x0460),
  rcode: fc.constantFrom(0, 0, 0, 3, 3, 1, 4, 6, 9, 15),
  edns: fc.boolean(),
});
type Content = typeof content extends fc.Arbitrary<infer T> ? T : never;

const a: ZoneRecord = { owner: 0, type: 1, ttl: 60, data: Uint8Array.of(192, 0, 2, 1) };
const question = fc.record({
  labels: fc.array(fc.string({ unit: fc.constantFrom(..."abcXYZ019-_"), minLength: 1, maxLength: 12 }), {
    maxLength: 5,
  }),
  type: fc.oneof(fc.constant(1), fc.constant(28), type),
  klass: fc.constantFrom(1, 1, 1, 3, 255),
  flags: fc.integer({ min: 0, max: 0xffff }).map((bits) => bits & 0x0130),
  edns: fc.constantFrom(
    undefined,
    { size: 512, bits: 0 },
    { size: 1232, bits: 0x8000 },
    { size: 4096, bits: 0 },
  ),
  option: octets(0, 12),
  transport: fc.constantFrom("udp" as const, "tcp" as const),
});
type AskedQuestion = typeof question extends fc.Arbitrary<infer T> ? T : never;

function u16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [index, value] of values.entries()) bytes.writeUInt16BE(value & 0xffff, index * 2);
  return bytes;
}

function wire({ owner, type: number, ttl, data }: ZoneRecord): Buffer {
  const name = owner === 0 ? u16(0xc00c) : owner === 1 ? Buffer.of(0) : Buffer.from("\x05other\x03net\0");
  return Buffer.concat([name, u16(number, 1, ttl >>> 16, ttl, data.length), data]);
}

function encodeQuery({ labels, type: number, klass, flags, edns, option }: AskedQuestion): Buffer {
  const name = Buffer.concat([
    ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.of(0),
  ]);
  const opt =
    edns &&
    Buffer.concat([
      Buffer.of(0),
      u16(41, edns.size, 0, edns.bits, option.length + 4, 65_001, option.length),
      option,
    ]);
  return Buffer.concat([
    u16(0x4646, flags, 1, 0, 0, opt ? 1 : 0),
    name,
    u16(number, klass),
    opt ?? Buffer.alloc(0),
  ]);
}

/** The client's question, and the records as they are. Without A records an answer to A might become a DNS46 one. */
function encodeReply(
  query: Buffer,
  { answers, authorities, additionals, flags, rcode, edns }: Content,
): Buffer {
  let end = 12;
  while (query[end] !== 0) end += 1 + query[end]!;
  end += 5;
  const isA = query.readUInt16BE(end - 4) === 1;
  const sections = [isA && rcode === 0 ? [a, ...answers] : answers, authorities, additionals];
  const bits = 0x8000 | (query.readUInt16BE(2) & 0x0110) | 0x0080 | flags | rcode;
  const opt = edns ? Buffer.concat([Buffer.of(0), u16(41, 1232, 0, 0, 0)]) : Buffer.alloc(0);
  const counts = sections.map((section) => section.length);
  return Buffer.concat([
    u16(0, bits, 1, counts[0]!, counts[1]!, counts[2]! + (edns ? 1 : 0)),
    query.subarray(12, end),
    ...sections.flat().map(wire),
    opt,
  ]);
}

describe("replies that need no DNS46", () => {
  let upstream: ScriptedServer;
  let proxy: DnsProxy;
  let zone: Content;
  before(async () => {
    upstream = await startScriptedServer(({ query }) => encodeReply(query, zone));
    proxy = createDnsProxy({
      mapHost: () => Promise.reject(new Error("nothing is to be mapped")),
      log: pino({ level: "silent" }),
      upstreamPort: upstream.port,
    });
    proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 120, subnet: "10.46.0.0/24" });
  });
  after(async () => {
    proxy.close();
    await upstream.close();
  });

  test(`any zone, any question: the upstream's bytes (seed ${seed})`, () =>
    fc.assert(
      fc.asyncProperty(content, question, async (next, asked) => {
        zone = next;
        const query = encodeQuery(asked);
        const before = upstream.exchanges.length;
        const reply = await proxy.handle(query, asked.transport);
        const number = query.readUInt16BE(query.indexOf(0, 12) + 1);
        const ours = (one: { query: Buffer }) =>
          one.query.readUInt16BE(one.query.indexOf(0, 12) + 1) === number;
        // The last one: over TCP a cut reply is asked for again.
        const expected = upstream.exchanges.slice(before).findLast(ours)?.reply;
        assert.ok(reply && expected, "asked and answered");
        const hex = Buffer.from(expected);
        const cut = asked.transport === "udp" && hex.length > Math.max(512, asked.edns?.size ?? 0);
        query.copy(hex, 0, 0, 2);
        query.copy(hex, 12, 12, 12 + Buffer.concat([query]).indexOf(0, 12) - 11);
        if (cut) assert.ok((reply[2]! & 2) !== 0 && reply.length < hex.length);
        else assert.equal(Buffer.from(reply).toString("hex"), hex.toString("hex"));
        assert.equal(proxy.stats().synthesized, 0);
      }),
      { seed, numRuns: 400 },
    ));

  test("an HTTPS record with hints that DNS46 could be tempted by stays as it is", async () => {
    const hints = Buffer.from(
      "0001000001000302683200040004c00002010006001020010db8004600000000000000000080",
      "hex",
    );
    zone = {
      answers: [{ owner: 0, type: 65, ttl: 60, data: hints }],
      authorities: [],
      additionals: [],
      flags: 0,
      rcode: 0,
      edns: true,
    };
    const query = dnsPacket.encode({
      type: "query",
      id: 7,
      flags: 256,
      questions: [{ name: "svc.example", type: "UNKNOWN_65" as never }],
    });
    const reply = await proxy.handle(query, "udp");
    assert.ok(Buffer.from(reply!).includes(hints));
  });
});
