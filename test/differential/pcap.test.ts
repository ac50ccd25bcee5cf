/** Capture files against the tools everybody has: they read what we write, we read what they write. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, describe, test } from "node:test";
import type { CapturedPacket } from "../../src/pcap/packet.ts";
import { readCapture } from "../../src/pcap/read.ts";
import { createCaptureWriter } from "../../src/pcap/write.ts";
import { blocks, collect, samplePackets } from "../support/captures.ts";
import { mustExecute, needs } from "../support/exec.ts";
import { concat } from "../support/packets.ts";

const directory = mkdtempSync(`${tmpdir()}/egress46-pcap-`);
after(() => rmSync(directory, { recursive: true }));

const formats = ["pcap", "pcapng"] as const;
const start = 1_700_000_000_123_456_789n;
const packets = [samplePackets[4], samplePackets[6], samplePackets[4]].map((ip, index) => ({
  timestampNs: start + BigInt(index) * 1_000_000_001n,
  ip,
}));
const vlanHeader = Buffer.from("020000000001020000000002810000050800", "hex");

async function writeSample(format: (typeof formats)[number], linkType: number): Promise<string> {
  const path = `${directory}/ours-${linkType}.${format}`;
  const writer = await createCaptureWriter(path, { format, linkType });
  for (const [index, packet] of packets.entries())
    await writer.write(linkType === 1 && index === 0 ? { ...packet, linkHeader: vlanHeader } : packet);
  await writer.close();
  return path;
}

/** "1700000000.123456789" */
const seconds = (ns: bigint) => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, "0")}`;

const linkTypes = [1, 101, 113, 276] as const;

describe("tshark reads what we write", needs("tshark"), () => {
  for (const format of formats)
    for (const linkType of linkTypes)
      test(`${format}, link type ${linkType}`, async () => {
        const path = await writeSample(format, linkType);
        const fields = [
          "frame.time_epoch",
          "ip.src",
          "ipv6.src",
          "udp.dstport",
          "tcp.dstport",
          "_ws.malformed",
        ];
        const checks = ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"];
        const output = await mustExecute([
          ...["tshark", "-r", path, "-T", "fields", "-E", "separator=,"],
          ...checks.flatMap((check) => ["-o", `${check}:TRUE`]),
          ...fields.flatMap((field) => ["-e", field]),
        ]);
        assert.deepEqual(
          output.trim().split("\n"),
          packets.map(({ timestampNs, ip }) =>
            ip[0]! >> 4 === 4
              ? `${seconds(timestampNs)},10.244.10.2,,40001,,`
              : `${seconds(timestampNs)},,2001:db8::2,,80,`,
          ),
        );
        const bad =
          'ip.checksum.status == "Bad" || udp.checksum.status == "Bad" || tcp.checksum.status == "Bad"';
        const wrong = ["-o", "ip.check_checksum:TRUE", "-Y", `_ws.malformed || ${bad}`];
        assert.equal(await mustExecute(["tshark", "-r", path, ...wrong]), "");
      });
});

describe("tcpdump reads what we write", needs("tcpdump"), () => {
  for (const format of formats)
    for (const linkType of linkTypes)
      test(`${format}, link type ${linkType}`, async () => {
        const path = await writeSample(format, linkType);
        const options = ["-n", "-tt", "--time-stamp-precision=nano"];
        const lines = (await mustExecute(["tcpdump", ...options, "-r", path])).trim().split("\n");
        assert.equal(lines.length, packets.length);
        for (const [index, { timestampNs, ip }] of packets.entries()) {
          assert.ok(lines[index]!.startsWith(seconds(timestampNs)), lines[index]);
          const ends = /IP6? (\S+) > (\S+):/.exec(lines[index]!)?.slice(1);
          const expected =
            ip[0]! >> 4 === 4
              ? ["10.244.10.2.4000", "10.244.50.1.40001"]
              : ["2001:db8::2.4000", "2001:db8::1.80"];
          assert.deepEqual(ends, expected);
        }
      });
});

/** Found packets are those written, their times cut to `resolutionNs`. */
function assertSample(found: readonly CapturedPacket[], resolutionNs: bigint, linkType: number): void {
  assert.deepEqual(
    found.map((packet) => [packet.timestampNs, packet.linkType, Buffer.from(packet.ip ?? [])]),
    packets.map(({ timestampNs, ip }) => [
      timestampNs - (timestampNs % resolutionNs),
      linkType,
      Buffer.from(ip),
    ]),
  );
}

describe("we read what editcap writes", needs("editcap"), () => {
  for (const [format, resolutionNs] of [
    ["pcap", 1000n],
    ["nsecpcap", 1n],
    ["pcapng", 1n],
  ] as const)
    for (const linkType of linkTypes)
      test(`-F ${format}, link type ${linkType}`, async () => {
        const path = `${directory}/editcap-${linkType}.${format}`;
        await mustExecute(["editcap", "-F", format, await writeSample("pcapng", linkType), path]);
        assertSample(await collect(readCapture(path)), resolutionNs, linkType);
      });

  test("-s 40: packets cut, and flagged", async () => {
    const path = `${directory}/editcap-snap.pcapng`;
    await mustExecute(["editcap", "-F", "pcapng", "-s", "40", await writeSample("pcapng", 101), path]);
    const found = await collect(readCapture(path));
    assert.deepEqual(
      found.map(({ truncated, frame, ip }) => [truncated, frame.length, ip?.length]),
      packets.map(() => [true, 40, 40]),
    );
  });
});

describe("mergecap: several interfaces in one file", needs("mergecap"), () => {
  test("link types 1, 101 and 276", async () => {
    const path = `${directory}/merged.pcapng`;
    const sources = await Promise.all([1, 101, 276].map((linkType) => writeSample("pcapng", linkType)));
    await mustExecute(["mergecap", "-F", "pcapng", "-a", "-w", path, ...sources]);
    const found = await collect(readCapture(path));
    for (const [index, linkType] of [1, 101, 276].entries())
      assertSample(found.slice(index * packets.length, (index + 1) * packets.length), 1n, linkType);
  });
});

describe("we read what tcpdump -w writes", needs("root", "tcpdump"), () => {
  for (const [precision, resolutionNs] of [
    ["micro", 1000n],
    ["nano", 1n],
  ] as const)
    for (const linkType of linkTypes)
      test(`${precision}seconds, link type ${linkType}`, async () => {
        const path = `${directory}/tcpdump-${precision}-${linkType}`;
        const options = ["-Z", "root", `--time-stamp-precision=${precision}`];
        await mustExecute(["tcpdump", ...options, "-r", await writeSample("pcap", linkType), "-w", path]);
        assertSample(await collect(readCapture(path)), resolutionNs, linkType);
      });
});

describe("we read what tcpdump captures", needs("root", "ip", "unshare", "tcpdump", "ping"), () => {
  for (const [name, options, linkType] of [
    ["the loopback interface", ["-i", "lo"], 1],
    ["any interface", ["-i", "any"], 276],
    ["any interface, SLL", ["-i", "any", "-y", "LINUX_SLL"], 113],
  ] as const)
    test(name, async () => {
      const path = `${directory}/captured-${linkType}`;
      const before = BigInt(Date.now()) * 1_000_000n;
      // Ready when tcpdump says that it listens; it ends by itself after four packets.
      const script = `ip link set lo up
tcpdump -Z root --immediate-mode -n -c 4 -w "$0" "$@" 'icmp or icmp6[0] == 128 or icmp6[0] == 129' 2> "$0.log" & pid=$!
for try in $(seq 100); do grep -q 'listening on' "$0.log" && break; sleep 0.1; done
ping -n -c 1 127.0.0.1 && ping -n -c 1 ::1
wait $pid`;
      await mustExecute(["unshare", "--net", "sh", "-c", script, path, ...options], { timeoutMs: 60_000 });
      const found = await collect(readCapture(path));
      assert.deepEqual(
        found.map((packet) => [
          packet.linkType,
          packet.ip![0]! >> 4,
          packet.ip![packet.ip![0]! >> 4 === 4 ? 20 : 40],
        ]),
        [
          [linkType, 4, 8],
          [linkType, 4, 0],
          [linkType, 6, 128],
          [linkType, 6, 129],
        ],
      );
      for (const { timestampNs } of found) {
        const later = timestampNs - before;
        assert.ok(later > -1_000_000n && later < 120_000_000_000n, `${later}`);
      }
    });
});

describe("tshark reads our test files", needs("tshark"), () => {
  for (const order of ["little-endian", "big-endian"] as const)
    test(`pcapng, ${order}: every kind of block, the same packets and times`, async () => {
      const ng = blocks(order);
      const ethernet = concat(vlanHeader, samplePackets[4]);
      const path = `${directory}/blocks-${order}.pcapng`;
      writeFileSync(
        path,
        concat(
          ...[ng.section(ng.comment("all"), ng.endOfOptions())],
          ...[ng.describe(101, 0, ng.resolution(9), ng.timeOffset(100n), ng.endOfOptions()), ng.describe(1)],
          ng.describe(229, 0, ng.resolution(0x94), ng.endOfOptions()),
          ng.enhanced(0, { ticks: start, bytes: samplePackets[4] }, ng.comment("one"), ng.endOfOptions()),
          ng.block(5, new Uint8Array(24)),
          ng.enhanced(1, { ticks: start / 1000n, bytes: ethernet }),
          ng.enhanced(2, { ticks: (1_700_000_000n << 20n) + 524_288n, bytes: samplePackets[6] }),
        ),
      );
      const times = await mustExecute(["tshark", "-r", path, "-T", "fields", "-e", "frame.time_epoch"]);
      const found = await collect(readCapture(path));
      assert.deepEqual(
        found.map(({ timestampNs }) => seconds(timestampNs)),
        times.trim().split("\n"),
      );
      assert.deepEqual(
        found.map(({ ip }) => ip?.length),
        [samplePackets[4].length, samplePackets[4].length, samplePackets[6].length],
      );
    });
});
