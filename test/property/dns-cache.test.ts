/** dns.wasm against dns-packet: what one encodes the other reads the same way, and no bytes make it trap or lie. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import dnsPacket, { type Packet, type RecordType } from "dns-packet";
import fc from "fast-check";
import { createAnswerCache } from "../../src/dns/cache.ts";
import { scanMessage } from "../../src/dns/message.ts";
import { withOrigin } from "../../src/dns/origin.ts";
import { decode } from "../support/decode.ts";
import { aged, queryBytes } from "../support/dns-cache.ts";
import { dnsPackets } from "../support/dns-packets.ts";
import { startLab } from "../support/engine.ts";
import { flow44, flow66, fromPod } from "../support/flows.ts";

const seed = Number(process.env.EGRESS46_SEED ?? 46);

interface Module {
  readonly memory: { readonly buffer: ArrayBuffer };
  init(bytes: number, key0: bigint, key1: bigint): number;
  questionBuffer(): number;
  scan(length: number): number;
}
const url = new URL("../../wasm/dns.wasm", import.meta.url);
const wasm = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(url)), {}).exports as Module;
wasm.init(0, 1n, 2n);
const memory = new Uint8Array(wasm.memory.buffer);

/** The fields of DnsMessage (assembly/core/wire/dns.ts), offsets from the start of the message. */
function scan(bytes: Uint8Array) {
  const start = wasm.questionBuffer();
  memory.set(bytes, start);
  const at = wasm.scan(bytes.length);
  if (at === 0) return undefined;
  const [flags, nameLength, type, klass, answers, authorities, additionals, records, opt, end] =
    new Uint32Array(wasm.memory.buffer, at, 10);
  const offset = (address = 0) => (address === 0 ? undefined : address - start);
  return {
    ...{ flags, nameLength, type, klass, counts: [answers, authorities, additionals] },
    ...{ records: offset(records), opt: offset(opt), end: offset(end) },
  };
}

/** The same, by the other parser of ours. */
function byTypeScript(bytes: Uint8Array) {
  const message = scanMessage(bytes);
  if (message === undefined) return undefined;
  const { flags, question, opt, records } = message;
  const count = (wanted: string) => records.filter(({ section }) => section === wanted).length;
  return {
    ...{ flags, nameLength: question.nameEnd - 12, type: question.type, klass: question.class },
    counts: [count("answer"), count("authority"), count("additional")],
    ...{ records: question.end, opt: opt && opt.rdata - 10, end: records.at(-1)?.end ?? question.end },
  };
}

test("messages that dns-packet writes are read whole, with its fields", () => {
  fc.assert(
    fc.property(dnsPackets, (content: Packet) => {
      const bytes = dnsPacket.encode(content);
      const read = scan(bytes);
      const { id: _, flags, questions, answers, authorities, additionals } = dnsPacket.decode(bytes);
      assert.ok(read !== undefined && flags !== undefined);
      assert.equal(read.end, bytes.length);
      assert.equal((read.flags ?? 0) & 0x7fff, flags & 0x7fff);
      assert.equal(read.nameLength, (questions?.[0]?.name ?? "").length + 2);
      assert.deepEqual(read.counts, [answers?.length, authorities?.length, additionals?.length]);
      assert.deepEqual(read, byTypeScript(bytes));
    }),
    { seed, numRuns: 500 },
  );
});

const mutated = fc
  .tuple(
    dnsPackets,
    fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }),
    fc.nat(2000),
    fc.boolean(),
  )
  .map(([content, changes, cut, whole]) => {
    const bytes = Uint8Array.from(dnsPacket.encode(content));
    for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
    return whole || cut >= bytes.length ? bytes : bytes.subarray(0, cut);
  });

test("messages cut or changed anywhere, and any bytes: read as the other parser reads them, or refused", () => {
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const other = byTypeScript(bytes);
      // That one takes a truncated message that ends inside a record; what is truncated is never kept.
      if (other !== undefined && (other.flags & 0x0200) !== 0) return;
      assert.deepEqual(scan(bytes)?.flags === undefined ? undefined : scan(bytes), other);
    }),
    { seed, numRuns: 4000 },
  );
});

test("any query and any reply to it: kept or not, what comes out is the reply, aged", () => {
  let now = 0;
  let hits = 0;
  const cache = createAnswerCache(1 << 16, () => now);
  const fields = fc.record({
    content: dnsPackets,
    size: fc.option(fc.constantFrom(0, 512, 1232, 4096), { nil: undefined }),
    seconds: fc.nat(100),
    noise: fc.option(fc.tuple(fc.nat(200), fc.nat(255)), { nil: undefined }),
    upper: fc.boolean(),
  });
  fc.assert(
    fc.property(fields, ({ content, size, seconds, noise, upper }) => {
      now += 1000;
      const { name = "", type = "A" } = content.questions?.[0] ?? {};
      const edns = size === undefined ? undefined : { size };
      const query = queryBytes({ name, type, edns });
      if (noise !== undefined && noise[0] < query.length) query[noise[0]] = noise[1];
      const reply = dnsPacket.encode({ ...content, type: "response" });
      cache.flush();
      cache.keep(query, withOrigin("upstream", reply), cache.changes());
      const lifetime = cache.lifetime(reply);
      now += seconds * 1000;
      const again = queryBytes({ name: upper ? name.toUpperCase() : name, type, edns, id: 7 });
      const found = cache.find(again, "tcp");
      if (lifetime === undefined || seconds >= lifetime.seconds) assert.equal(found, undefined);
      if (found === undefined) return;
      hits++;
      assert.deepEqual(Buffer.from(found.reply), aged(reply, again, seconds));
    }),
    { seed, numRuns: 3000 },
  );
  assert.ok(hits > 100, `${hits} hits`);
});

test("any question, as a packet to an engine that knows some answers: one answer, or one question to the host", async () => {
  const lab = await startLab({ sizes: { maxSessions: 1024, maxMappings: 1024, dnsCache: 1 << 15 } });
  lab.configure({ dns: true });
  const recent: { name: string; type: string }[] = [];
  let now = 0;
  let hits = 0;
  const fields = fc.record({
    content: dnsPackets,
    reply: fc.uint8Array({ maxLength: 300 }),
    whole: fc.boolean(),
    pick: fc.nat(),
    noise: fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat(100), fc.nat(255)), { maxLength: 3 })),
    six: fc.boolean(),
    step: fc.oneof(fc.nat(2000), fc.nat(0x7fff_ffff)),
  });
  fc.assert(
    fc.property(fields, ({ content, reply, whole, pick, noise, six, step }) => {
      now = (now + (pick % 64 === 0 ? step : step % 2000)) >>> 0;
      const again = pick % 4 !== 0 ? recent[pick % recent.length] : undefined;
      const { name = "", type = "A" } = again ?? content.questions?.[0] ?? {};
      recent[pick % 30] = { name, type };
      const query = queryBytes({ name, type });
      for (const [offset, value] of noise) if (offset < query.length) query[offset] = value;
      const packet = fromPod(six ? flow66 : flow44, "udp", 4000, { destinationPort: 53, payload: query });
      const { outputs, questions, drops } = lab.push([packet], now);
      const asked = questions.filter(({ refresh }) => !refresh);
      assert.deepEqual([outputs.length + asked.length, drops], [1, {}]);
      for (const output of outputs) {
        hits++;
        const { payload, checksum } = decode(output);
        assert.deepEqual([payload[0], payload[1], checksum], [query[0], query[1], "complete"]);
        const { end } = scanMessage(query)!.question;
        assert.equal(Buffer.compare(payload.subarray(12, end), query.subarray(12, end)), 0, "its question");
      }
      const { context } = questions[0] ?? {};
      const answer = whole
        ? dnsPacket.encode({ ...content, type: "response", questions: [{ name, type: type as RecordType }] })
        : reply;
      const seconds = 1 + (pick % 86_400);
      if (context) lab.pump.keep(context, answer, { seconds, synthesized: pick % 3 === 0 }, now);
    }),
    { seed, numRuns: 3000 },
  );
  assert.ok(hits > 100, `${hits} hits`);
});
