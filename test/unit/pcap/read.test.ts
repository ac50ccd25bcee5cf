import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Eg46Error } from "../../../src/errors.ts";
import type { CapturedPacket } from "../../../src/pcap/packet.ts";
import { readCapture } from "../../../src/pcap/read.ts";
import {
  type ByteOrder,
  blocks,
  chunked,
  classicFile,
  collect,
  ordered,
  samplePackets,
} from "../../support/captures.ts";
import { concat } from "../../support/packets.ts";

const orders: readonly ByteOrder[] = ["little-endian", "big-endian"];
const packet = samplePackets[4];
const second = 1_700_000_000n;

const read = (file: Uint8Array, chunk = 1 << 16) => collect(readCapture(chunked(file, chunk), "in.pcap"));

/** Packets before the fault, and the fault. */
async function readToFault(file: Uint8Array): Promise<{ packets: CapturedPacket[]; message: string }> {
  const packets: CapturedPacket[] = [];
  try {
    for await (const found of readCapture(chunked(file, 7), "in.pcap")) packets.push(found);
  } catch (error) {
    assert.ok(error instanceof Eg46Error && error.code === "EG46_CAPTURE_INVALID", String(error));
    return { packets, message: error.message };
  }
  assert.fail(`no fault found, ${packets.length} packets`);
}

describe("classic pcap", () => {
  const variants = {
    microseconds: { magic: 0xa1b2c3d4, perSecond: 1_000_000n, linkType: 101 },
    nanoseconds: { magic: 0xa1b23c4d, perSecond: 1_000_000_000n, linkType: 101 },
  };
  for (const order of orders)
    for (const [resolution, options] of Object.entries(variants))
      for (const chunk of [1, 13, 1 << 16])
        test(`${order}, ${resolution}, in pieces of ${chunk} bytes`, async () => {
          const frames = [
            { ticks: second * options.perSecond + 123_456n, bytes: packet },
            { ticks: 4_294_967_295n * options.perSecond, bytes: samplePackets[6], originalLength: 9000 },
            { ticks: 0n, bytes: new Uint8Array(0) },
          ];
          const found = await read(classicFile(order, options, frames), chunk);
          const nsPerTick = 1_000_000_000n / options.perSecond;
          assert.deepEqual(
            found.map(({ timestampNs }) => timestampNs),
            frames.map(({ ticks }) => ticks * nsPerTick),
          );
          assert.deepEqual(
            found.map(({ truncated }) => truncated),
            [false, true, false],
          );
          assert.deepEqual(
            found.map(({ frame }) => Buffer.from(frame)),
            frames.map(({ bytes }) => Buffer.from(bytes)),
          );
          assert.deepEqual(Buffer.from(found[0]!.ip!), Buffer.from(packet));
        });

  test("a frame check sequence in the link type's upper half", async () => {
    const options = { ...variants.microseconds, linkType: 0x24000001 };
    const frame = concat(new Uint8Array(12), Uint8Array.of(8, 0), packet, new Uint8Array(4));
    const [found] = await read(classicFile("little-endian", options, [{ ticks: 0n, bytes: frame }]));
    assert.equal(found?.linkType, 1);
    assert.deepEqual(Buffer.from(found.ip!), Buffer.from(packet));
  });

  test("a file without packets", async () => {
    assert.deepEqual(await read(classicFile("big-endian", variants.nanoseconds, [])), []);
  });
});

describe("pcapng: time", () => {
  const day = 86_400n;
  /** if_tsresol, if_tsoffset, ticks → nanoseconds */
  const cases: Readonly<
    Record<string, readonly [resolution: number | undefined, offset: bigint, ticks: bigint, ns: bigint]>
  > = {
    "no resolution: microseconds": [undefined, 0n, second * 1_000_000n + 1n, second * 1_000_000_000n + 1000n],
    "10^-6": [6, 0n, second * 1_000_000n + 1n, second * 1_000_000_000n + 1000n],
    "10^-9": [9, 0n, second * 1_000_000_000n + 1n, second * 1_000_000_000n + 1n],
    "10^-3": [3, 0n, second * 1000n + 1n, second * 1_000_000_000n + 1_000_000n],
    "10^0": [0, 0n, second, second * 1_000_000_000n],
    "10^-12": [12, 0n, 5_999n, 5n],
    "10^-127": [127, 0n, (1n << 64n) - 1n, 0n],
    "2^-10": [0x8a, 0n, second * 1024n + 512n, second * 1_000_000_000n + 500_000_000n],
    "2^-32": [0xa0, 0n, (second << 32n) + (1n << 31n), second * 1_000_000_000n + 500_000_000n],
    "offset of a day": [9, day, 7n, day * 1_000_000_000n + 7n],
    "offset before 1970": [9, -day, 7n, -day * 1_000_000_000n + 7n],
  };
  for (const order of orders)
    for (const [name, [resolution, offset, ticks, ns]] of Object.entries(cases))
      test(`${order}, ${name}`, async () => {
        const ng = blocks(order);
        const options = [
          ng.comment("before"),
          ...(resolution === undefined ? [] : [ng.resolution(resolution)]),
          ...(offset === 0n ? [] : [ng.timeOffset(offset)]),
        ];
        const file = concat(
          ng.section(),
          ng.describe(101, 0, ...options),
          ng.enhanced(0, { ticks, bytes: packet }),
        );
        assert.deepEqual(
          (await read(file)).map(({ timestampNs }) => timestampNs),
          [ns],
        );
      });
});

describe("pcapng: blocks", () => {
  for (const order of orders)
    for (const chunk of [1, 13, 1 << 16])
      test(`${order}, in pieces of ${chunk} bytes: every kind of block`, async () => {
        const ng = blocks(order);
        const frame = { ticks: 1n, bytes: packet };
        const ethernet = concat(new Uint8Array(12), Uint8Array.of(0x86, 0xdd), samplePackets[6]);
        const file = concat(
          ng.section(ng.comment("a comment"), ng.endOfOptions()),
          // Blocks that say nothing here: name resolution, statistics, a custom block, an empty one.
          ng.block(4, new Uint8Array(20)),
          ng.describe(101, packet.length, ng.resolution(9), ng.endOfOptions()),
          ng.describe(1),
          ng.enhanced(0, frame, ng.comment("on a packet"), ng.endOfOptions()),
          ng.enhanced(1, { ticks: 2n, bytes: ethernet, originalLength: ethernet.length + 1 }),
          ng.block(5, new Uint8Array(200_000)),
          ng.simple(packet.length, packet),
          ng.simple(1000, packet),
          ng.block(0xbad, new Uint8Array(0)),
          ng.obsolete(1, { ticks: 3n, bytes: ethernet }),
        );
        const found = await read(file, chunk);
        assert.deepEqual(
          found.map(({ linkType, timestampNs, truncated, ip }) => [
            linkType,
            timestampNs,
            truncated,
            ip?.length,
          ]),
          [
            [101, 1n, false, packet.length],
            [1, 2000n, true, samplePackets[6].length],
            [101, 0n, false, packet.length],
            [101, 0n, true, packet.length],
            [1, 3000n, false, samplePackets[6].length],
          ],
        );
      });

  test("a new section forgets the interfaces and may change the byte order", async () => {
    const [little, big] = [blocks("little-endian"), blocks("big-endian")];
    const file = concat(
      ...[little.section(), little.describe(229), little.enhanced(0, { ticks: 1n, bytes: samplePackets[6] })],
      ...[big.section(), big.describe(228), big.enhanced(0, { ticks: 2n, bytes: packet })],
    );
    assert.deepEqual(
      (await read(file)).map(({ linkType, timestampNs }) => [linkType, timestampNs]),
      [
        [229, 1000n],
        [228, 2000n],
      ],
    );
    const { message } = await readToFault(
      concat(file, little.section(), little.enhanced(0, { ticks: 0n, bytes: packet })),
    );
    assert.match(message, /one of the 0 interfaces described so far, found interface 0$/);
  });
});

describe("malformed captures: what came before is kept, the fault is named", () => {
  const options = { magic: 0xa1b2c3d4, perSecond: 1_000_000n, linkType: 101 };
  const one = { ticks: 1n, bytes: packet };
  const { u16, u32 } = ordered("little-endian");
  const classic = classicFile("little-endian", options, [one, one]);
  const record = 16 + packet.length;
  const ng = blocks("little-endian");
  const start = concat(ng.section(), ng.describe(101), ng.enhanced(0, one));
  const next = start.length;
  const changed = (file: Uint8Array, at: number, bytes: Uint8Array) =>
    concat(file.subarray(0, at), bytes, file.subarray(at + bytes.length));

  const cases: Readonly<Record<string, readonly [file: Uint8Array, kept: number, message: string]>> = {
    empty: [
      new Uint8Array(0),
      0,
      "offset 0: the file ends inside the magic number: expected 4 bytes, found 0",
    ],
    "three bytes": [
      classic.subarray(0, 3),
      0,
      "offset 0: the file ends inside the magic number: expected 4 bytes, found 3",
    ],
    "another kind of file": [
      Buffer.from("\x1f\x8b\x08\x00 gzip", "latin1"),
      0,
      "offset 0: expected the magic number of pcap or pcapng, found 1f8b0800",
    ],
    "classic: header cut": [
      classic.subarray(0, 20),
      0,
      "offset 4: the file ends inside the file header: expected 20 bytes, found 16",
    ],
    "classic: version": [changed(classic, 4, u16(1)), 0, "offset 4: expected version 2.4, found 1.4"],
    "classic: captured length": [
      changed(classic, 24 + record + 8, u32(0x7fffffff)),
      1,
      `offset ${24 + record + 8}: expected a captured length up to 262144, found 2147483647`,
    ],
    "classic: packet header cut": [
      classic.subarray(0, 24 + record + 5),
      1,
      `offset ${24 + record}: the file ends inside a packet header: expected 16 bytes, found 5`,
    ],
    "classic: packet missing": [
      classic.subarray(0, 24 + record + 16),
      1,
      `offset ${24 + record + 16}: the file ends inside a packet: expected ${packet.length} bytes, found 0`,
    ],
    "classic: last packet cut": [
      classic.subarray(0, classic.length - 1),
      1,
      `offset ${24 + record + 16}: the file ends inside a packet: expected ${packet.length} bytes, found ${packet.length - 1}`,
    ],
    "pcapng: byte-order magic": [
      changed(start, 8, u32(0)),
      0,
      "offset 8: expected the byte-order magic 1a2b3c4d, found 00000000",
    ],
    "pcapng: version": [changed(start, 12, u16(2)), 0, "offset 12: expected version 1 of pcapng, found 2"],
    "pcapng: section header too short": [
      changed(start, 4, u32(24)),
      0,
      "offset 4: expected a block length from 28 on, a multiple of 4, found 24",
    ],
    "pcapng: length 0": [
      concat(start, u32(6), u32(0), u32(0)),
      1,
      `offset ${next + 4}: expected a block length from 12 on, a multiple of 4, found 0`,
    ],
    "pcapng: length not of words": [
      concat(start, u32(77), u32(13), u32(13)),
      1,
      `offset ${next + 4}: expected a block length from 12 on, a multiple of 4, found 13`,
    ],
    "pcapng: packet block too short": [
      concat(start, ng.block(6, u32(0))),
      1,
      `offset ${next + 4}: expected a block length from 32 on, a multiple of 4, found 16`,
    ],
    "pcapng: second length differs": [
      concat(start, ng.block(77, u32(0)).subarray(0, 12), u32(20)),
      1,
      `offset ${next + 12}: expected the block's length 16 again, found 20`,
    ],
    "pcapng: interface not described": [
      concat(start, ng.enhanced(1, one)),
      1,
      `offset ${next + 8}: expected one of the 1 interfaces described so far, found interface 1`,
    ],
    "pcapng: captured length beyond the block": [
      changed(concat(start, ng.enhanced(0, one)), next + 20, u32(1000)),
      1,
      `offset ${next + 28}: expected a captured length up to ${(packet.length + 3) & ~3}, found 1000`,
    ],
    "pcapng: captured length one byte beyond the block": [
      changed(concat(start, ng.enhanced(0, one)), next + 20, u32(((packet.length + 3) & ~3) + 1)),
      1,
      `offset ${next + 28}: expected a captured length up to ${(packet.length + 3) & ~3}, found ${((packet.length + 3) & ~3) + 1}`,
    ],
    "pcapng: simple packet longer than its block": [
      concat(start, ng.simple(1000, packet)),
      1,
      `offset ${next + 12}: expected a captured length up to ${(packet.length + 3) & ~3}, found 1000`,
    ],
    "pcapng: if_tsresol of the wrong length": [
      concat(start, ng.describe(101, 0, ng.option(9, u32(9)))),
      1,
      `offset ${next + 18}: expected length 1 of option 9, found 4`,
    ],
    "pcapng: option beyond the block": [
      concat(start, ng.describe(101, 0, u16(2), u16(500))),
      1,
      `offset ${next + 18}: expected an option length up to 0, found 500`,
    ],
    "pcapng: block type cut": [
      concat(start, u16(6)),
      1,
      `offset ${next}: the file ends inside a block type: expected 4 bytes, found 2`,
    ],
    "pcapng: last packet cut": [
      concat(start, ng.enhanced(0, one).subarray(0, 40)),
      1,
      `offset ${next + 28}: the file ends inside a packet: expected ${packet.length} bytes, found 12`,
    ],
    "pcapng: last block skipped cut": [
      concat(start, ng.block(77, new Uint8Array(100)).subarray(0, 50)),
      1,
      `offset ${next + 50}: the file ends inside a block: expected 58 bytes, found 0`,
    ],
  };
  for (const [name, [file, kept, message]] of Object.entries(cases))
    test(name, async () => {
      const found = await readToFault(file);
      assert.equal(found.message, `in.pcap: ${message}`);
      assert.equal(found.packets.length, kept);
    });

  test("too many interfaces", async () => {
    const many = Buffer.concat([ng.section(), ...Array.from({ length: 65_537 }, () => ng.describe(101))]);
    const packets = collect(readCapture(chunked(many, 1 << 16)));
    await assert.rejects(packets, { code: "EG46_CAPTURE_INVALID", message: /at most 65536 interfaces/ });
  });

  test("a file that is not there", async () => {
    await assert.rejects(readCapture("/nonexistent/in.pcap").next(), {
      code: "EG46_CAPTURE_INVALID",
      message: /^\/nonexistent\/in.pcap: cannot be read: ENOENT/,
    });
  });
});

describe("streams", () => {
  const options = { magic: 0xa1b2c3d4, perSecond: 1_000_000n, linkType: 101 };
  const record = { ticks: 1n, bytes: new Uint8Array(60_000).fill(0x45) };

  test("a capture of 2 GB leaves memory as it was", async () => {
    const file = classicFile("little-endian", options, [record]);
    const [header, one] = [file.subarray(0, 24), Buffer.from(file.subarray(24))];
    const count = 35_000;
    async function* stream() {
      yield header;
      for (let index = 0; index < count; index++) yield one;
    }
    const before = process.memoryUsage();
    let most = 0;
    let packets = 0;
    for await (const { frame } of readCapture(stream())) {
      packets++;
      assert.equal(frame.length, 60_000);
      if (packets % 1000 === 0) most = Math.max(most, process.memoryUsage().rss - before.rss);
    }
    assert.equal(packets, count);
    assert.ok(most < 200 << 20, `${most >> 20} MiB more`);
  });

  test("who stops early leaves the stream closed", async () => {
    const file = classicFile("little-endian", options, [record, record]);
    let closed = false;
    async function* stream() {
      try {
        yield* chunked(file, 1000);
      } finally {
        closed = true;
      }
    }
    for await (const _ of readCapture(stream())) break;
    assert.ok(closed);
  });
});
