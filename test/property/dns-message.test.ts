import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket, { type DecodedPacket } from "dns-packet";
import fc from "fast-check";
import { createFrameReader, frame } from "../../src/dns/framing.ts";
import {
  flag,
  headerLength,
  type ResourceRecord,
  recordType,
  scanMessage,
  u16,
} from "../../src/dns/message.ts";
import { expandName, nameToText, skipName, textToName } from "../../src/dns/name.ts";
import { createWriter, ifItFits } from "../../src/dns/writer.ts";
import { dnsPackets } from "../support/dns-packets.ts";

const seed = Number(process.env.EGRESS46_SEED ?? 46);
const sections = [
  ["answer", "answers"],
  ["authority", "authorities"],
  ["additional", "additionals"],
] as const;

/** What we read, in the words of the oracle. */
function assertSameAsOracle(bytes: Uint8Array, expected: DecodedPacket): void {
  const message = scanMessage(bytes);
  assert.ok(message !== undefined, "a message that dns-packet reads");
  const question = expandName(bytes, headerLength);
  assert.equal(nameToText(question!), expected.questions?.[0]?.name);
  for (const [section, field] of sections) {
    const ours: ResourceRecord[] = message.records.filter((one) => one.section === section);
    const theirs = expected[field] ?? [];
    assert.equal(ours.length, theirs.length, section);
    for (const [index, one] of ours.entries()) {
      const other = theirs[index] as { name: string; type: string; ttl: number; data: unknown };
      assert.equal(nameToText(expandName(bytes, one.owner)!), other.name);
      assert.equal(one.ttl, other.ttl);
      if (one.type === recordType.A) assert.equal(bytes.subarray(one.rdata, one.end).join("."), other.data);
      if (one.type === recordType.CNAME) assert.equal(nameToText(expandName(bytes, one.rdata)!), other.data);
    }
  }
}

test("messages that dns-packet writes are read as it reads them", () => {
  fc.assert(
    fc.property(dnsPackets, (content) => {
      const bytes = dnsPacket.encode(content);
      assertSameAsOracle(bytes, dnsPacket.decode(bytes));
    }),
    { seed, numRuns: 500 },
  );
});

test("messages that our writer compresses are read by dns-packet, and by us, as meant", () => {
  const owner = fc.tuple(fc.constantFrom("a.example", "b.a.example", "Example", "c.d.e"), fc.boolean());
  fc.assert(
    fc.property(fc.array(owner, { minLength: 1, maxLength: 40 }), (owners) => {
      const writer = createWriter();
      for (const value of [1, flag.qr, 1, owners.length, 0, 0]) writer.u16(value);
      writer.name(textToName("a.example"));
      writer.u32(0x10001);
      for (const [text, alias] of owners)
        writer.record(textToName(text), alias ? recordType.CNAME : recordType.A, 1, 60, () =>
          alias ? writer.name(textToName(`x.${text}`)) : writer.u32(0x7f000001),
        );
      const bytes = writer.finish();
      const decoded = dnsPacket.decode(Buffer.from(bytes));
      assert.deepEqual(
        decoded.answers?.map((answer) => [answer.name, (answer as { data: string }).data]),
        owners.map(([text, alias]) => [text, alias ? `x.${text}` : "127.0.0.1"]),
      );
      assertSameAsOracle(bytes, decoded);
    }),
    { seed, numRuns: 300 },
  );
});

test("names at any offset of any bytes: within the message or refused, as by dns-packet", () => {
  const decode = (bytes: Uint8Array, offset: number): number | undefined => {
    const { name: codec } = dnsPacket as unknown as {
      name: { decode: ((b: Buffer, o: number) => string) & { bytes: number } };
    };
    try {
      codec.decode(Buffer.from(bytes), offset);
      return offset + codec.decode.bytes;
    } catch {
      return undefined;
    }
  };
  const noisy = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0xc0, max: 0xc1 }), fc.nat(255)),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(noisy, fc.nat(80), (values, offset) => {
      const bytes = Uint8Array.from(values);
      const expanded = expandName(bytes, offset);
      assert.equal(expanded === undefined, decode(bytes, offset) === undefined);
      if (expanded === undefined) return;
      assert.ok(expanded.length <= 255 && expanded.at(-1) === 0);
      assert.equal(skipName(bytes, offset), decode(bytes, offset));
    }),
    { seed, numRuns: 5000 },
  );
});

test("messages cut or changed anywhere: read or refused, every offset inside the message", () => {
  fc.assert(
    fc.property(
      dnsPackets,
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 8 }),
      fc.nat(2000),
      (content, changes, cut) => {
        const bytes = Uint8Array.from(dnsPacket.encode(content));
        for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
        const mutated = bytes.subarray(0, cut < bytes.length ? cut : undefined);
        const message = scanMessage(mutated);
        if (message === undefined) return;
        assert.equal(u16(mutated, 4), 1);
        for (const one of message.records) {
          assert.ok(one.owner >= message.question.end && one.rdata <= one.end && one.end <= mutated.length);
          expandName(mutated, one.owner);
        }
      },
    ),
    { seed, numRuns: 3000 },
  );
});

test("frames in any pieces come out as they went in", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
  fc.assert(
    fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 70 })), (sent, sizes) => {
      const stream = Buffer.concat(sent.map(frame));
      const reader = createFrameReader();
      const received: Buffer[] = [];
      for (let offset = 0; offset < stream.length; ) {
        const size = sizes.next().value as number;
        reader.push(stream.subarray(offset, offset + size));
        offset += size;
        for (let message = reader.next(); message !== undefined; message = reader.next())
          received.push(Buffer.from(message));
      }
      assert.deepEqual(
        received,
        sent.map((message) => Buffer.from(message)),
      );
      assert.equal(reader.buffered, 0);
    }),
    { seed, numRuns: 300 },
  );
});

test("a message of thousands of names is written in no time, or is too long", () => {
  const names = (count: number) =>
    Array.from({ length: count }, (_, index) => textToName(`a${index}.b${index}.example`));
  const write = (count: number) => {
    const writer = createWriter();
    for (const one of names(count)) writer.name(one);
    return writer.finish();
  };
  const startedAt = performance.now();
  assert.ok(write(4000).length <= 65535);
  assert.ok(performance.now() - startedAt < 2000);
  assert.equal(
    ifItFits(() => write(9000)),
    undefined,
  );
  assert.throws(() => ifItFits(() => assert.fail("another error")), /another error/);
});
