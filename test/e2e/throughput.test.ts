/** Not a benchmark: that bulk data takes the super-packet path, at a sane fraction of what the kernel alone does. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { checksumErrors } from "../support/kernel-counters.ts";
import {
  allowKernelForwarding,
  buildTopology,
  labAddresses,
  type Netns,
  type Topology,
} from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "iperf3", "nstat");
const seconds = Number(process.env.TEST_IPERF_SECONDS ?? 10);

function serve(topology: Topology, address: string): void {
  const [program = "", ...args] = topology.internet.inside(["iperf3", "-s", "-B", address]);
  const server = spawn(program, args, { stdio: "ignore" });
  topology.cleanup.defer(() => server.kill("SIGKILL"));
}

/** Gbit/s received. */
async function iperf(pod: Netns, address: string, ...more: string[]): Promise<number> {
  const argv = ["iperf3", "-J", "-c", address, "-t", String(seconds), ...more];
  const result = JSON.parse(await pod.run(argv, { timeoutMs: (seconds + 20) * 1000 }));
  return result.end.sum_received.bits_per_second / 1e9;
}

test("iperf3 from the Pod to the IPv6 host: 5 Gbit/s, or a third of kernel forwarding", tools, async (t) => {
  const plain = await buildTopology({ prefix: "eg46test", podIpv6: true });
  t.after(() => plain.close());
  await allowKernelForwarding(plain);
  serve(plain, labAddresses.web.v6only);
  await sleep(300);
  const kernel = await iperf(plain.pods[0], labAddresses.web.v6only);
  plain.close();

  const lab = await gatewayLab(t);
  serve(lab.topology, labAddresses.web.v6only);
  const nat4 = (await lab.topology.pods[0].run(["dig", "+short", "v6only.example"])).split("\n")[0] ?? "";
  await sleep(300);
  const out = await iperf(lab.topology.pods[0], nat4);
  const back = await iperf(lab.topology.pods[0], nat4, "--reverse");
  t.diagnostic(
    `kernel IPv6 forwarding ${kernel.toFixed(2)}, egress46 out ${out.toFixed(2)} and back ${back.toFixed(2)} Gbit/s`,
  );
  const goal = kernel >= 15 ? 5 : kernel / 3;
  assert.ok(
    out >= goal && back >= goal,
    `${out.toFixed(2)} out, ${back.toFixed(2)} back, goal ${goal.toFixed(2)}`,
  );
  for (const netns of [lab.topology.pods[0], lab.topology.gateway, lab.topology.internet])
    assert.deepEqual(await checksumErrors(netns), [], netns.name);
});
