/** More UDP flows than a pool address has ports. */
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab, poolResource } from "../support/gateway-lab.ts";
import { flood, flows, lifetimeSeconds, otherPort, targets } from "../support/port-exhaustion.ts";
import { askEcho, keepAsking, serveEcho } from "../support/udp-echo.ts";

const tools = needs("root", "tun", "ip", "nft", "dig");

for (const target of targets)
  test(`${target.name}: ${flows} UDP flows by one pool address`, tools, async (t) => {
    const args = ["--session-timeout", `udp=${lifetimeSeconds}`];
    const lab = await gatewayLab(t, { resources: { "pool.yaml": poolResource }, args });
    const { pods, internet, cleanup } = lab.topology;
    const [pod] = pods;
    const address = await target.seen(pod);
    await serveEcho(internet, cleanup, target.host, otherPort);
    const existing = keepAsking(pod, cleanup, address, otherPort);
    await eventually("an answer", async () => existing.answers() > 0);
    // An endpoint's port is its own towards all destinations (RFC 4787 REQ-1).
    await flood(t, lab, "udp", target);
    const before = existing.answers();
    await eventually("the existing flow goes on", async () => existing.answers() > before + 2);
    // In hold-down (RFC 6888 REQ-8) the oldest ports are used when there are no others.
    const again = async () => (await askEcho(pod, address, otherPort, 32, 1)) === 1;
    await eventually("a port is free again", again, 20_000);
  });
