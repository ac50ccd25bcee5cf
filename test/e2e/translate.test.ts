/** `egress46 translate`: captures in, captures out; tshark finds nothing wrong with what comes out. */
import assert from "node:assert/strict";
import { linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { CaptureFormat } from "../../src/pcap/encode.ts";
import { readCapture } from "../../src/pcap/read.ts";
import { createCaptureWriter } from "../../src/pcap/write.ts";
import { collect, ipPacket } from "../support/captures.ts";
import { execute, mustExecute, needs } from "../support/exec.ts";
import { generate } from "../support/siit-packets.ts";

const main = fileURLToPath(new URL("../../src/main.js", import.meta.url));
const folder = mkdtempSync(`${tmpdir()}/egress46-translate-`);
after(() => rmSync(folder, { recursive: true }));
const eams = [
  { v4: "10.0.0.1", v6: "2001:db8:1::77" },
  { v4: "10.0.0.2", v6: "2001:db8:1::154" },
];
const eamt = `${folder}/eamt`;
writeFileSync(eamt, `# both\n${eams.map(({ v4, v6 }) => `${v4} ${v6}`).join("\n")}\n`);
const pool6 = "2001:db8:64::/96";

const run = (...args: readonly string[]) => execute([process.execPath, main, "translate", ...args]);

async function capture(
  path: string,
  packets: readonly Uint8Array[],
  format: CaptureFormat,
  linkType: number,
) {
  const linkHeader = Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  const writer = await createCaptureWriter(path, { format, linkType });
  for (const [index, ip] of packets.entries())
    await writer.write({ timestampNs: BigInt(index) * 1000n, ip, ...(linkType === 1 ? { linkHeader } : {}) });
  await writer.close();
}

const plain = {
  source: "10.0.0.1",
  destination: "192.0.2.9",
  protocol: "udp",
  sourcePort: 1,
  destinationPort: 2,
} as const;

describe("captures", () => {
  for (const format of ["pcap", "pcapng"] as const)
    for (const linkType of [1, 101, 113] as const)
      test(`${format}, link type ${linkType}: format, times and link headers kept, errors go back`, async () => {
        const [input, output] = [`${folder}/in-${linkType}.${format}`, `${folder}/out-${linkType}.${format}`];
        await capture(input, [ipPacket(plain), ipPacket({ ...plain, hops: 1 })], format, linkType);
        const { code, stdout, stderr } = await run(
          input,
          output,
          "--eamt",
          eamt,
          "--pool6",
          pool6,
          "--pool6791v4",
          "192.0.2.1",
          "-o",
          "json",
        );
        assert.equal(code, 0, stderr);
        assert.deepEqual(JSON.parse(stdout), {
          ...{ packets: 2, translated: 1, written: 2, icmpErrors: 1, truncated: 0, notIp: 0 },
          drops: { HOP_LIMIT_EXPIRED: 1 },
        });
        assert.equal(readFileSync(output)[0] === 0x0a, format === "pcapng");
        const [translated, error] = await collect(readCapture(output));
        assert.deepEqual(
          [translated!.linkType, translated!.timestampNs, translated!.ip![0]! >> 4],
          [linkType, 0n, 6],
        );
        assert.deepEqual([error!.timestampNs, error!.ip![0]! >> 4, error!.ip![20]], [1000n, 4, 11]);
        if (linkType !== 1) return;
        assert.deepEqual([...translated!.linkHeader.subarray(0, 6)], [2, 0, 0, 0, 0, 1]);
        assert.deepEqual([...error!.linkHeader.subarray(0, 6)], [2, 0, 0, 0, 0, 2]);
      });

  test("the summary names each reason", async () => {
    const input = `${folder}/summary.pcap`;
    await capture(input, [ipPacket(plain), ipPacket({ ...plain, destination: "224.0.0.1" })], "pcap", 101);
    const { stdout } = await run(input, `${folder}/summary-out.pcap`, "--eamt", eamt, "--pool6", pool6);
    assert.match(stdout, /^packets +2$/m);
    assert.match(stdout, /^DESTINATION_NOT_FORWARDABLE +1 /m);
  });

  test("a cut file: what was read is written and counted, then the error", async () => {
    const [whole, input, output] = [`${folder}/whole.pcap`, `${folder}/cut.pcap`, `${folder}/cut-out.pcap`];
    await capture(whole, [ipPacket(plain), ipPacket(plain)], "pcap", 101);
    writeFileSync(input, readFileSync(whole).subarray(0, -3));
    const { code, stdout, stderr } = await run(input, output, "--eamt", eamt, "--pool6", pool6);
    assert.equal(code, 1);
    assert.match(stderr, /^EG46_CAPTURE_INVALID: .*cut\.pcap: offset/);
    assert.match(stdout, /^translated +1$/m);
    assert.equal((await collect(readCapture(output))).length, 1);
  });

  test("packets captured in part", async () => {
    const input = `${folder}/snap.pcap`;
    await capture(input, [ipPacket(plain)], "pcap", 101);
    const bytes = readFileSync(input);
    // The length on the wire, in the record's header.
    bytes.writeUInt32LE(bytes.readUInt32LE(36) + 100, 36);
    writeFileSync(input, bytes);
    const { stdout } = await run(input, `${folder}/snap-out.pcap`, "--eamt", eamt, "-o", "json");
    assert.deepEqual([JSON.parse(stdout).truncated, JSON.parse(stdout).written], [1, 0]);
  });
});

describe("refused", () => {
  test("one file for both, also by another name", async () => {
    const [input, link] = [`${folder}/same.pcap`, `${folder}/link.pcap`];
    await capture(input, [ipPacket(plain)], "pcap", 101);
    linkSync(input, link);
    const before = readFileSync(input);
    for (const output of [input, link]) {
      const { code, stderr } = await run(input, output, "--eamt", eamt);
      assert.deepEqual([code, stderr.split(":")[0]], [2, "EG46_USAGE"]);
    }
    assert.deepEqual(readFileSync(input), before);
  });
  test("no such table, a malformed one", async () => {
    const bad = `${folder}/bad`;
    writeFileSync(bad, "10.0.0.0/24\n");
    for (const [file, message] of [
      [`${folder}/none`, /^EG46_EAMT_INVALID: .*none: cannot be read/],
      [bad, /^EG46_EAMT_INVALID: .*bad:1: expected/],
    ] as const) {
      const { code, stderr } = await run("in", "out", "--eamt", file);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
  });
  test("no such capture: no output", async () => {
    const { code, stderr } = await run(`${folder}/none.pcap`, `${folder}/never.pcap`, "--eamt", eamt);
    assert.equal(code, 1);
    assert.match(stderr, /^EG46_CAPTURE_INVALID: .*none\.pcap: cannot be read: ENOENT/);
    assert.throws(() => readFileSync(`${folder}/never.pcap`), { code: "ENOENT" });
  });
  for (const [name, args] of [
    ["prefix length", ["--pool6", "2001:db8::/50"]],
    ["address", ["--pool6791v4", "::1"]],
    ["MTU", ["--mtu6", "1279"]],
  ] as const)
    test(name, async () => assert.equal((await run("in", "out", "--eamt", eamt, ...args)).code, 2));
});

/** A configuration for tshark: payloads are random, only headers that are translated are looked into. */
async function onlyProtocols(): Promise<string> {
  const wanted = ["frame", "raw", "ip", "ipv6", "icmp", "icmpv6", "udp", "tcp", "data"];
  const all = (await mustExecute(["tshark", "-G", "protocols"])).trim().split("\n");
  const names = all.map((line) => line.split("\t")[2]!);
  writeFileSync(`${folder}/disabled_protos`, names.filter((name) => !wanted.includes(name)).join("\n"));
  return folder;
}

describe("tshark on 20,000 generated packets", needs("tshark"), () => {
  test("no malformed packet, no bad checksum", async () => {
    const [input, output] = [`${folder}/many.pcap`, `${folder}/many-out.pcap`];
    await capture(input, generate({ eams, pool6, wellFormed: true }, 46, 20_000), "pcap", 101);
    const { code, stderr } = await run(
      input,
      output,
      "--eamt",
      eamt,
      "--pool6",
      pool6,
      "--pool6791v4",
      "192.0.2.254",
    );
    assert.equal(code, 0, stderr);
    const checks = ["ip", "udp", "tcp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]);
    // Of a quoted transport header tshark takes what is there for all there was.
    const bad = [
      ...["ip", "icmp", "icmpv6"].map((name) => `${name}.checksum.status == "Bad"`),
      ...["udp", "tcp"].map((name) => `(${name}.checksum.status == "Bad" && !icmp && !icmpv6)`),
    ];
    const tshark = [
      "env",
      `WIRESHARK_CONFIG_DIR=${await onlyProtocols()}`,
      "tshark",
      "-r",
      output,
      ...checks,
    ];
    const filter = `(_ws.malformed || ${bad.join(" || ")})`;
    const found = await mustExecute([...tshark, "-Y", filter], {
      timeoutMs: 120_000,
    });
    assert.equal(found, "");
    const all = await mustExecute([...tshark, "-T", "fields", "-e", "_ws.col.Protocol"], {
      timeoutMs: 120_000,
    });
    assert.ok(all.trim().split("\n").length > 5_000);
  });
});
