/** What happens to Pods' packets while there's no gateway, and what is left of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { childOf, gatewayLab } from "../support/gateway-lab.ts";
import { allowKernelForwarding, capture, labAddresses, type Topology } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "tcpdump");

/** Everything that a gateway sets up and may leave. */
async function hostState({ gateway }: Topology): Promise<string> {
  const commands = [
    ["ip", "rule"],
    ["ip", "-6", "rule"],
    ["ip", "route", "show", "table", "all"],
    ["ip", "-6", "route", "show", "table", "all"],
    ["ip", "-brief", "link"],
    ["ip", "neigh", "show", "proxy"],
    ["ip", "-6", "neigh", "show", "proxy"],
    ["nft", "list", "ruleset"],
  ];
  const outputs = await Promise.all(commands.map((argv) => gateway.run(argv)));
  // Multicast and link-local routes come and go with links, not with us; a MAC address is random.
  return outputs
    .join("")
    .split("\n")
    .filter((line) => !/multicast|fe80|expires/.test(line))
    .map((line) => line.replace(/([\da-f]{2}:){5}[\da-f]{2}|@if\d+/g, ""))
    .join("\n");
}

for (const victim of ["gateway and netd", "the gateway process alone"])
  test(`kill -9 of ${victim}: nothing with an inner source on the external wire`, tools, async (t) => {
    const lab = await gatewayLab(t, { podIpv6: true });
    const { topology } = lab;
    const [pod] = topology.pods;
    const nat4 = (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "";
    // Only the gateway stands between: were a packet let by, the internet would answer it.
    await allowKernelForwarding(topology);
    const wire = await capture(topology.internet, "eth0", `net ${pod.net4} or net ${pod.net6}`);
    const { web } = labAddresses;
    const script = `
      const s4 = require("node:dgram").createSocket("udp4"), s6 = require("node:dgram").createSocket("udp6");
      setInterval(() => {
        for (const to of ["${web.v4only}", "${nat4}"]) s4.send("x", 9, to, () => {});
        s6.send("x", 9, "${web.v6only}", () => {});
        for (const to of ["${web.v4only}", "${web.v6only}"]) require("node:net").connect(80, to).on("error", () => {});
      }, 5);
      s4.on("error", () => {}); s6.on("error", () => {});`;
    const [program = "", ...args] = pod.inside([process.execPath, "-e", script]);
    const sender = spawn(program, args, { stdio: "ignore" });
    topology.cleanup.defer(() => sender.kill("SIGKILL"));
    await sleep(500);

    if (victim === "gateway and netd") {
      await lab.gateway.kill();
      await sleep(1500);
      await lab.restart();
    } else {
      process.kill(childOf(lab.gateway.pid), "SIGKILL");
      await sleep(1500);
    }
    await sleep(500);
    sender.kill();
    assert.deepEqual(await wire.stop(), []);

    const page = await pod.run([
      "curl",
      "-sS",
      "--max-time",
      "10",
      "--retry",
      "5",
      "--retry-connrefused",
      `http://${nat4}/`,
    ]);
    assert.match(page, /Welcome to v6only\.example/, "the address handed out before still works");
  });

test("SIGTERM: within 2 s; traffic stays refused; --cleanup leaves nothing", tools, async (t) => {
  const lab = await gatewayLab(t, { args: ["--admin", "127.0.0.1:9047"] });
  const { topology } = lab;
  const [pod] = topology.pods;
  const started = performance.now();
  assert.equal(await lab.gateway.stop(), 0);
  assert.ok(performance.now() - started < 2000, `${performance.now() - started} ms`);
  await allowKernelForwarding(topology);
  const wire = await capture(topology.internet, "eth0", `net ${pod.net4}`);
  await pod.execute(["curl", "-sS", "--max-time", "1", `http://${labAddresses.web.v4only}/`]);
  assert.deepEqual(await wire.stop(), []);

  const again = await lab.restart("--cleanup");
  assert.equal(await again.stop(), 0);
  const state = await hostState(topology);
  for (const trace of ["eg46", "egress46", "blackhole", "46", "proxy"])
    for (const line of state.split("\n").filter((each) => each.includes(trace)))
      assert.ok(/2001:db8:46|10\.244\.\d+\.0/.test(line), `left: ${line}`);
});
