/** netd and its gateway process: hanging, stopping, dying; and what the log says of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { childOf, eventually, type GatewayLab, gatewayLab } from "../support/gateway-lab.ts";
import { gatewayCommand, labFiles, startGateway } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl");

const page = ({ topology }: GatewayLab) =>
  topology.pods[0].execute(["curl", "-sS", "--max-time", "2", "http://v6only.example/"]);
const serves = (lab: GatewayLab) =>
  eventually("the page", async () => (await page(lab)).stdout.includes("Welcome"), 20_000);

test("nothing is dropped before there is traffic: the TUNs are silent", tools, async (t) => {
  const lab = await gatewayLab(t, { podIpv6: true, args: ["--workers", "2"] });
  await sleep(3000);
  assert.deepEqual(await lab.drops(), {});
});

test(
  "a gateway process that hangs is killed and started anew; netd's own pauses are none of it",
  tools,
  async (t) => {
    const lab = await gatewayLab(t);
    const { gateway } = lab;

    await t.test("netd stopped for longer than its patience: nothing happens", async () => {
      const before = childOf(gateway.pid);
      // Answers of before are there.
      await sleep(2500);
      process.kill(gateway.pid, "SIGSTOP");
      await sleep(8000);
      process.kill(gateway.pid, "SIGCONT");
      await sleep(2500);
      assert.equal(childOf(gateway.pid), before);
      assert.ok(!gateway.stderr().includes("does not answer"), gateway.stderr());
    });

    await t.test("the gateway process stopped: traffic is refused, then there is a new one", async () => {
      const before = childOf(gateway.pid);
      process.kill(before, "SIGSTOP");
      assert.notEqual((await page(lab)).code, 0);
      await eventually("the end of it", async () => !existsSync(`/proc/${before}`), 15_000);
      assert.match(gateway.stderr(), /does not answer any more, while serving: it is killed/);
      assert.match(gateway.stderr(), /ended \(SIGKILL\) while serving; traffic is refused/);
      await serves(lab);
    });
  },
);

for (const [name, args] of [
  ["", []],
  [" with --cleanup", ["--cleanup"]],
] as const)
  test(`SIGTERM ends netd within 2 s though its gateway process hangs${name}`, tools, async (t) => {
    const { gateway } = await gatewayLab(t, { args });
    const child = childOf(gateway.pid);
    process.kill(child, "SIGSTOP");
    const began = performance.now();
    assert.equal(await gateway.stop(), 0);
    const took = performance.now() - began;
    t.diagnostic(`${Math.round(took)} ms`);
    assert.ok(took < 2000, `${took} ms`);
    assert.ok(!existsSync(`/proc/${child}`));
  });

test(
  "port 53 taken by another process: said once, once more when it is free, served then",
  tools,
  async (t) => {
    const lab = await gatewayLab(t);
    const { topology, store } = lab;
    await lab.gateway.stop();
    const { gateway4 } = topology.pods[0];
    const script = `require("node:dgram").createSocket("udp4").bind(53, "${gateway4}", () => console.log("bound"))`;
    const [program = "", ...argv] = topology.gateway.inside([process.execPath, "-e", script]);
    const other = spawn(program, argv, { stdio: ["ignore", "pipe", "inherit"] });
    await once(other.stdout, "data");
    const starting = startGateway(topology, gatewayCommand(topology, { files: [labFiles], store }));
    await sleep(8000);
    const status = await topology.gateway.execute(["curl", "-s", "127.0.0.1:9046/healthz"]);
    assert.match(status.stdout, /cannot serve DNS at udp port 53 on internal0 .*: another process has it/);
    other.kill("SIGKILL");
    const gateway = await starting;
    await serves(lab);
    const lines = gateway.stderr().split("\n");
    const said = lines.filter((line) => line.includes("cannot serve DNS"));
    assert.equal(said.length, 1, said.join("\n"));
    assert.match(said[0]!, /EG46_DNS_LISTEN/);
    assert.doesNotMatch(said[0]!, /\.js:\d+/);
    assert.equal(lines.filter((line) => line.includes("could not be applied before, is applied")).length, 1);
  },
);
