/** More TCP flows to one destination than a pool address has ports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab, poolResource } from "../support/gateway-lab.ts";
import { startProbe, uploadBytes } from "../support/icmp-probe.ts";
import { flood, flows, otherPort, port, targets } from "../support/port-exhaustion.ts";
import type { Netns } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig");

test(`${flows} TCP flows to one destination by one pool address`, tools, async (t) => {
  const lab = await gatewayLab(t, { resources: { "pool.yaml": poolResource } });
  const { pods, internet } = lab.topology;
  const [pod] = pods;
  for (const target of targets) {
    const { name, host, seen } = target;
    const address = await seen(pod);
    for (const each of [port, otherPort]) await startProbe(internet, "sink", host, each).line();
    const existing = startProbe(pod, "upload", address, port);
    assert.equal(await existing.line(), "open");
    await flood(t, lab, "tcp", target);
    existing.child.stdin?.write("go\n");
    assert.match(await existing.line(), new RegExp(`^${uploadBytes} `), `${name}: the existing flow goes on`);
    const elsewhere = startProbe(pod, "upload", address, otherPort);
    assert.equal(await elsewhere.line(), "open", `${name}: other destinations have ports`);
  }
  for (const { name, seen } of targets)
    await eventually(`${name}: a port is free again`, async () => connects(pod, await seen(pod)), 20_000);
});

async function connects(pod: Netns, address: string): Promise<boolean> {
  const script = `const socket = require("node:net").connect(${port}, "${address}");
    socket.setTimeout(900, () => process.exit(1)).on("error", () => process.exit(1)).on("connect", () => process.exit(0));`;
  return (await pod.execute([process.execPath, "-e", script])).code === 0;
}
