import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, describe, test } from "node:test";
import { readCapture } from "../../../src/pcap/read.ts";
import { createCaptureWriter } from "../../../src/pcap/write.ts";
import { collect, samplePackets } from "../../support/captures.ts";

const directory = mkdtempSync(`${tmpdir()}/egress46-pcap-`);
after(() => rmSync(directory, { recursive: true }));

const formats = ["pcap", "pcapng"] as const;
const taggedIpv4 = Buffer.from("0200000000010200000000028100000508 00".replace(" ", ""), "hex");

describe("a capture written", () => {
  for (const format of formats)
    for (const [linkType, written, header] of [
      [1, 1, `${taggedIpv4.subarray(0, 16).toString("hex")}86dd`],
      [101, 101, ""],
      [12, 101, ""],
      [0, 101, ""],
      [228, 101, ""],
      [105, 101, ""],
    ] as const)
      test(`${format}, packets from link type ${linkType}`, async () => {
        const path = `${directory}/${format}-${linkType}`;
        const writer = await createCaptureWriter(path, { format, linkType });
        const packet = { timestampNs: 1_700_000_000_123_456_789n, ip: samplePackets[6] };
        await writer.write(linkType === 1 ? { ...packet, linkHeader: taggedIpv4 } : packet);
        await writer.close();
        const [found, ...more] = await collect(readCapture(path));
        assert.deepEqual(more, []);
        assert.equal(found?.timestampNs, packet.timestampNs);
        assert.equal(found.linkType, written);
        assert.equal(found.truncated, false);
        assert.equal(Buffer.from(found.linkHeader).toString("hex"), header);
        assert.deepEqual(Buffer.from(found.ip!), Buffer.from(packet.ip));
      });

  for (const [format, most] of [
    ["pcap", (1n << 32n) * 1_000_000_000n - 1n],
    ["pcapng", (1n << 64n) - 1n],
  ] as const)
    test(`${format}: times out of range become the nearest`, async () => {
      const path = `${directory}/${format}-times`;
      const writer = await createCaptureWriter(path, { format, linkType: 101 });
      for (const timestampNs of [-1n, 0n, most, most + 1n, 1n << 80n])
        await writer.write({ timestampNs, ip: samplePackets[4] });
      await writer.close();
      const times = (await collect(readCapture(path))).map(({ timestampNs }) => timestampNs);
      assert.deepEqual(times, [0n, 0n, most, most, most]);
    });

  for (const format of formats)
    test(`${format}: nothing but the header when no packet came; a file that was there is replaced`, async () => {
      const path = `${directory}/${format}-empty`;
      for (const count of [3, 0]) {
        const writer = await createCaptureWriter(path, { format, linkType: 1 });
        for (let index = 0; index < count; index++)
          await writer.write({ timestampNs: 0n, ip: samplePackets[4] });
        await writer.close();
        assert.equal((await collect(readCapture(path))).length, count);
      }
      assert.equal(readFileSync(path).length, format === "pcap" ? 24 : 60);
    });

  test("where no file can be written", async () => {
    await assert.rejects(createCaptureWriter("/nonexistent/out.pcap", { format: "pcap", linkType: 1 }), {
      code: "EG46_CAPTURE_INVALID",
      message: /^\/nonexistent\/out.pcap: cannot be written: ENOENT/,
    });
    const writer = await createCaptureWriter("/dev/full", { format: "pcap", linkType: 1 });
    await assert.rejects(writer.close(), { code: "EG46_CAPTURE_INVALID", message: /ENOSPC/ });
  });
});
