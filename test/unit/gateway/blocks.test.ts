/** `egress46 blocks`, the options of `run` that it shares, and what the gateway says about blocks that don't fit. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { behaviourOf } from "../../../src/cli/behaviour-options.ts";
import type { EgressConfig, Snat } from "../../../src/config/resolve.ts";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { planBlocks } from "../../../src/engine/port-blocks.ts";
import { blocksOfPod, podOfPort } from "../../../src/gateway/assigned-blocks.ts";
import { desire } from "../../../src/gateway/desired.ts";
import type { HostFacts } from "../../../src/netd/protocol.ts";
import { workerOf } from "../../../src/netd/spread.ts";
import { poolEntry } from "../../support/engine.ts";
import { projectRoot } from "../../support/resources.ts";

function run(args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const script = fileURLToPath(new URL("../../../src/main.js", import.meta.url));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [script, ...args],
      { cwd: fileURLToPath(projectRoot) },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const folder = mkdtempSync(join(tmpdir(), "blocks-unit-"));
after(() => rmSync(folder, { recursive: true }));
/** 64 workers have 1008 ports of the address each. */
const roomless = join(folder, "shared.yaml");
writeFileSync(
  roomless,
  `apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: pool, namespace: spk-ingress }
spec: { name: shared, addressList: [["192.0.2.9"]], sharedSnatAddressEnabled: true }
---
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress, namespace: spk-ingress }
spec: { egressSnatpool: shared }
`,
);
const pool = ["blocks", "-f", "examples/dns46-snatpool.yaml"];
const right = [...pool, "--internal-net", "10.1.0.0/24", "--port-block", "256"];
const [one, two] = ["2001::10:244:100:250", "2001::10:244:100:251"];
const header = (pods: number, snat: number, ports: number) =>
  `${"Pods".padEnd(pods)} ${"SNAT address".padEnd(snat)} ${"ports".padEnd(ports)} worker\n`;

// biome-ignore format: a matrix of command lines
const runs: readonly { args: readonly string[]; status: number; stdout?: string | RegExp; stderr?: RegExp }[] = [
  { args: [...right, "10.1.0.10"], status: 0, stdout: new RegExp(`^${header(9, 20, 9)}.*\n10\\.1\\.0\\.10 ${one} 3584-3839      0\n$`) },
  { args: [...right, `[${one}]:4711`, "-o", "json"], status: 0, stdout: /^\{\n {2}"blocks": \[\n {4}\{\n {6}"worker": 0,\n {6}"firstPod": "10\.1\.0\.14"/ },
  { args: right, status: 0, stdout: new RegExp(`10\\.1\\.0\\.0 - 10\\.1\\.0\\.251 +${one} 1024-65535 .*\n10\\.1\\.0\\.252 - 10\\.1\\.0\\.255 +${two} 1024-2047 `) },
  { args: [...right, "10.9.9.9"], status: 1, stdout: /^10\.9\.9\.9 has no block: / },
  { args: [...right, `[${one}]:80`], status: 1, stdout: /is no Pod's: / },
  { args: [...right, "nonsense"], status: 2, stderr: /EG46_USAGE: 'nonsense' is neither a Pod's address nor ADDRESS:PORT/ },
  { args: ["blocks", "-f", "examples/automap.yaml", "--internal-net", "10.1.0.0/24", "--port-block", "64"], status: 2, stderr: /only blocks of a SNAT pool can be computed/ },
  { args: [...right, "--internal-net", "10.1.0.0/16"], status: 2, stderr: /EG46_USAGE: --internal-net 10\.1\.0\.0\/24 lies in 10\.1\.0\.0\/16: with --port-block/ },
  { args: ["run", "-f", "x", "--port-block", "64", "--internal-net", "fd00::/8", "10.0.0.0/8", "fd00:1::/32"], status: 2, stderr: /EG46_USAGE: --internal-net fd00:1::\/32 lies in fd00::\/8: / },
  { args: [...pool, "--internal-net", "10.1.0.0/24", "--internal-net", "10.1.0.77/24", "--internal-net", "10.2.0.0/24", "--port-block", "64", "10.2.0.0"], status: 0, stdout: /10\.2\.0\.0 .* 17408-17471/ },
  { args: [...pool, "--internal-net", "10.1.0.0/24", "--port-block", "0"], status: 2, stderr: /--port-block 0: Pods shared all ports/ },
  { args: ["blocks", "-f", roomless, "--internal-net", "10.1.0.0/24", "--port-block", "2048", "--workers", "64"], status: 1, stdout: /^no SNAT address has room for a block of 2048 ports\n$/ },
  { args: ["run", "-f", "x", "--eif", "none", "--port-block", "0", "--internal-net", "nonsense"], status: 2, stderr: /EG46_USAGE: --internal-net: 'nonsense' is not/ },
  { args: ["run", "-f", "x", "--port-block", "100"], status: 2, stderr: /must be a power of two from 64 to 32768, or 0/ },
  { args: ["run", "-f", "x", "--eim", "sctp"], status: 2, stderr: /must be a list such as udp,tcp/ },
  { args: ["run", "-f", "x", "--eif", "udp,tcp"], status: 2, stderr: /EG46_USAGE: --eif tcp: its outer port belongs to one remote end/ },
];

describe("command lines", () => {
  for (const { args, status, stdout, stderr } of runs)
    test(args.join(" "), async () => {
      const outcome = await run(args);
      assert.equal(outcome.status, status, outcome.stderr);
      if (stdout !== undefined) assert.match(outcome.stdout, new RegExp(stdout));
      if (stderr !== undefined) assert.match(outcome.stderr, stderr);
    });
});

describe("flags of run", () => {
  const flags = { eim: ["udp"], eif: [] } as const;
  test("icmp is mapped independently of the remote end, whatever --eim says", () =>
    assert.deepEqual(behaviourOf(flags), { eim: ["udp", "icmp"], eif: [], portBlock: 0 }));
  for (const [name, given, message] of [
    ["--eif of what --eim leaves out", { eim: ["tcp"], eif: ["udp"] }, /^--eif udp: /],
    ["--port-block without networks", { ...flags, portBlock: 64 }, /^--port-block needs --internal-net/],
  ] as const)
    test(name, () => assert.throws(() => behaviourOf(given), { code: "EG46_USAGE", message }));
});

describe("whose ports", () => {
  const nets = ["10.1.0.0/25"];
  const plans = [[one, "192.0.2.1"], [two]].map((addresses) =>
    planBlocks(
      256,
      nets,
      addresses.map((address) => poolEntry(address)),
    ),
  );
  const pods = Array.from({ length: 128 }, (_, last) => `10.1.0.${last}`);
  test("each Pod has blocks on its worker's addresses alone, and is found by each of their ports", () => {
    for (const pod of pods) {
      const blocks = blocksOfPod(plans, pod);
      const worker = workerOf(pod, 2);
      assert.deepEqual(
        blocks.map(({ address }) => address),
        worker === 0 ? ["192.0.2.1", one] : [two],
      );
      for (const block of blocks)
        for (const port of [block.firstPort, block.lastPort])
          assert.deepEqual(podOfPort(plans, block.address, port), [block]);
    }
  });
  for (const [name, address, port] of [
    ["below the first block", one, 1023],
    ["of no SNAT address", "192.0.2.99", 4711],
    ["behind the last Pod's block", "192.0.2.1", 65_535],
    ["of a block whose Pod another worker has", workerOf("10.1.0.0", 2) === 0 ? two : one, 1024],
  ] as const)
    test(`a port ${name} is nobody's`, () => assert.deepEqual(podOfPort(plans, address, port), []));
});

const dns = { subnet: "10.50.0.0/24", upstreams: ["10.9.9.9"], maxTtl: 120, reservedStatic: 0, rateLimit: 0 };
const egress = (snat: Snat, change: Partial<EgressConfig> = {}): EgressConfig => ({
  ...{ name: "egress", namespace: "default", dualStack: false, snat, automapAddresses: [], debugLog: false },
  ...change,
});
const lists = (...addresses: string[][]): Snat => ({
  kind: "pool",
  name: "pool",
  lists: addresses,
  shared: false,
});
const facts: HostFacts = {
  ...{ tuns: [], internalNets: [], internal: [], routeMtus: [], defaultSources: [], descriptorChannel: 9 },
  external: [{ name: "external", mtu: 1500, addresses: ["192.0.2.1/24"] }],
  automapPorts: [20000, 29999],
};

describe("notes of the gateway", () => {
  const four = lists(["192.0.2.8", "192.0.2.9"]);
  const six = lists(["192.0.2.8", "2001:db8::8"]);
  const rows: readonly {
    name: string;
    egress: EgressConfig;
    nets: readonly string[];
    portBlock: number;
    workers?: number;
    expected: readonly RegExp[];
  }[] = [
    { name: "all fit", egress: egress(four), nets: ["10.1.0.0/25"], portBlock: 512, expected: [] },
    { name: "off", egress: egress(four), nets: ["10.0.0.0/8"], portBlock: 0, expected: [] },
    {
      name: "a smaller size fits",
      egress: egress(four),
      nets: ["10.1.0.0/24"],
      portBlock: 1024,
      expected: [
        /^--port-block 1024: the internal networks hold 256 addresses, the IPv4 SNAT addresses have 126 blocks: Pods from 10\.1\.0\.126 on are refused \(SNAT_BLOCK_MISSING\); the largest size that fits is 256$/,
      ],
    },
    {
      name: "no size fits",
      egress: egress(four),
      nets: ["10.1.0.0/16"],
      portBlock: 64,
      expected: [/no size fits: at 64 ports it takes 66 SNAT addresses$/],
    },
    {
      name: "IPv6 addresses count for DNS46",
      egress: egress(six, { dns }),
      nets: ["10.1.0.0/26"],
      portBlock: 1024,
      expected: [/the IPv4 SNAT addresses have 63 blocks/, /the IPv6 SNAT addresses have 63 blocks/],
    },
    {
      name: "IPv6 networks count for dual stack alone",
      egress: egress(six, { dualStack: true }),
      nets: ["10.1.0.0/28", "fd00:1::/64"],
      portBlock: 1024,
      expected: [/hold 18446744073709551632 addresses, the IPv6 SNAT .* Pods from fd00:1::2f on are refused/],
    },
    {
      name: "of two workers the one with fewer addresses",
      egress: egress(lists(["192.0.2.7", "192.0.2.8"], ["192.0.2.9"])),
      nets: ["10.1.0.0/25"],
      portBlock: 1024,
      workers: 2,
      expected: [/the IPv4 SNAT addresses of worker 1 have 63 blocks/],
    },
    {
      name: "automap",
      egress: egress({ kind: "automap" }),
      nets: ["10.1.0.0/28"],
      portBlock: 64,
      expected: [/^--port-block with automap: .*\(192\.0\.2\.1 20000-29999\)/],
    },
  ];
  for (const { name, egress: config, nets, portBlock, workers = 1, expected } of rows)
    test(name, () => {
      const behaviour = { ...defaultBehaviour, portBlock };
      const { warnings, settings } = desire(config, { ...facts, internalNets: nets }, workers, behaviour);
      const notes = warnings.filter((warning) => warning.startsWith("--port-block"));
      assert.equal(notes.length, expected.length, notes.join("\n"));
      for (const [index, pattern] of expected.entries()) assert.match(notes[index]!, pattern);
      for (const each of settings) assert.deepEqual(each.behaviour, behaviour);
    });
});
