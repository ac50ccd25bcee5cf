import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, test } from "node:test";
import fc from "fast-check";
import { Eg46Error } from "../../src/errors.ts";
import { longestFrame } from "../../src/pcap/packet.ts";
import { readCapture } from "../../src/pcap/read.ts";
import { createCaptureWriter } from "../../src/pcap/write.ts";
import { blocks, chunked, classicFile, collect, ipPacket, samplePackets } from "../support/captures.ts";
import { concat } from "../support/packets.ts";

const seed = Number(process.env.EGRESS46_SEED ?? 46);
const directory = mkdtempSync(`${tmpdir()}/egress46-pcap-`);
after(() => rmSync(directory, { recursive: true }));

const payloads = fc.uint8Array({ maxLength: 1500 });
const packets = fc
  .record({ v6: fc.boolean(), protocol: fc.constantFrom("tcp" as const, "udp" as const), payload: payloads })
  .map(({ v6, protocol, payload }) =>
    ipPacket({
      source: v6 ? "2001:db8::2" : "192.0.2.2",
      destination: v6 ? "2001:db8::1" : "192.0.2.1",
      sourcePort: 1024,
      destinationPort: 443,
      protocol,
      payload,
    }),
  );
const macs = fc.uint8Array({ minLength: 12, maxLength: 12 });
const tag = fc
  .tuple(fc.constantFrom(0x81, 0x88), fc.integer({ max: 255, min: 0 }))
  .map(([type, vlan]) => Uint8Array.of(type, type === 0x81 ? 0 : 0xa8, 0x20, vlan));
/** What is written need not have the right EtherType: the writer puts it there. */
const ethernetHeaders = fc
  .tuple(macs, fc.array(tag, { maxLength: 3 }))
  .map(([addresses, tags]) => concat(addresses, ...tags, Uint8Array.of(0x08, 0x06)));

const written = fc.record({
  format: fc.constantFrom("pcap" as const, "pcapng" as const),
  linkType: fc.constantFrom(1, 101),
  records: fc.array(
    fc.record({
      timestampNs: fc.bigInt({ min: 0n, max: (1n << 32n) * 1_000_000_000n - 1n }),
      linkHeader: ethernetHeaders,
      ip: packets,
    }),
    { maxLength: 40 },
  ),
  chunk: fc.integer({ min: 1, max: 5000 }),
});

test(`what is written is what is read, in pieces of any size (seed ${seed})`, () =>
  fc.assert(
    fc.asyncProperty(written, async ({ format, linkType, records, chunk }) => {
      const path = `${directory}/identity`;
      const writer = await createCaptureWriter(path, { format, linkType });
      for (const record of records) await writer.write(record);
      await writer.close();
      const found = await collect(readCapture(chunked(readFileSync(path), chunk)));
      assert.deepEqual(
        found.map(({ timestampNs, ip, linkHeader, truncated }) => ({
          timestampNs,
          truncated,
          ip: Buffer.from(ip ?? []),
          header: Buffer.from(linkHeader.subarray(0, -2)),
        })),
        records.map(({ timestampNs, ip, linkHeader }) => ({
          timestampNs,
          truncated: false,
          ip: Buffer.from(ip),
          header: Buffer.from(linkType === 1 ? linkHeader.subarray(0, -2) : []),
        })),
      );
      for (const { linkType: read } of found) assert.equal(read, linkType);
    }),
    { seed, numRuns: 300 },
  ));

const frames = [
  ...[samplePackets[4], samplePackets[6]].map((bytes, index) => ({ ticks: BigInt(index) << 33n, bytes })),
  { ticks: 7n, bytes: concat(new Uint8Array(12), Uint8Array.of(0x81, 0, 0, 5, 8, 0), samplePackets[4]) },
];
const bases = (["little-endian", "big-endian"] as const).flatMap((order) => {
  const ng = blocks(order);
  const pcapng = concat(
    ...[
      ng.section(ng.comment("fuzz")),
      ng.describe(101, 0, ng.resolution(9), ng.timeOffset(-5n)),
      ng.describe(1),
    ],
    ...frames.map((frame, index) => ng.enhanced(index >> 1, frame, ng.comment("x"), ng.endOfOptions())),
    ...[ng.block(5, new Uint8Array(300)), ng.simple(samplePackets[4].length, samplePackets[4])],
    ...[ng.section(), ng.describe(276), ng.obsolete(0, frames[0]!)],
  );
  const classic = [0, 1, 101, 113].map((linkType) =>
    classicFile(order, { magic: 0xa1b23c4d, perSecond: 1_000_000_000n, linkType }, frames),
  );
  return [pcapng, pcapng, pcapng, ...classic];
});

const interesting = [0, 1, 3, 4, 6, 9, 14, 0x0a, 0x0d, 0x7f, 0x80, 0xff];
const changes = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    how: fc.constantFrom(
      "set" as const,
      "set" as const,
      "insert" as const,
      "remove" as const,
      "repeat" as const,
    ),
    bytes: fc.array(fc.oneof(fc.constantFrom(...interesting), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    }),
  }),
  { minLength: 1, maxLength: 6 },
);
const mutated = fc
  .record({
    base: fc.constantFrom(...bases),
    changes,
    keep: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  })
  .map(({ base, changes, keep }) => {
    let file = [...base];
    for (const { at, how, bytes } of changes) {
      const start = Math.floor(at * file.length);
      if (how === "set") file.splice(start, bytes.length, ...bytes);
      else if (how === "insert") file.splice(start, 0, ...bytes);
      else if (how === "remove") file.splice(start, bytes[0]!);
      else file = [...file.slice(0, start), ...file.slice(start >> 1)];
    }
    return Uint8Array.from(file.slice(0, Math.ceil(keep * file.length)));
  });

test(`5000 mutated files: packets within their frames, then the end or a fault with its offset (seed ${seed})`, async () => {
  let whole = 0;
  let faults = 0;
  await fc.assert(
    fc.asyncProperty(mutated, fc.integer({ min: 1, max: 600 }), async (file, chunk) => {
      let packets = 0;
      try {
        for await (const { frame, ip, linkHeader, timestampNs } of readCapture(chunked(file, chunk), "in")) {
          packets++;
          assert.equal(typeof timestampNs, "bigint");
          assert.ok(frame.length <= Math.min(longestFrame, file.length));
          assert.ok(linkHeader.length + (ip?.length ?? 0) <= frame.length);
          assert.ok(ip === undefined || [4, 6].includes(ip[0]! >> 4));
        }
        whole++;
      } catch (error) {
        if (!(error instanceof Eg46Error)) throw error;
        faults++;
        const offset = /^in: offset (\d+): .*(expected|found)/.exec(error.message)?.[1];
        assert.ok(offset !== undefined && Number(offset) <= file.length, error.message);
      }
      // Every packet costs bytes of the file: none is made up, nothing goes round.
      assert.ok(packets <= file.length / 16);
    }),
    { seed, numRuns: 5000 },
  );
  assert.ok(whole > 100 && faults > 1000, `${whole} whole, ${faults} faults`);
});
