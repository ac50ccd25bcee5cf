import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { createCleanup } from "../../src/lab/cleanup.ts";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";
import type { Contender } from "./contenders/contender.ts";

const firstPort = 5201;

/** One iperf3 server a Pod on the internet's side. They end with the namespace, or by `stop`. */
export async function startIperfServers({ internet, pods }: Contender): Promise<{ stop(): void }> {
  const cleanup = createCleanup();
  for (const index of pods.keys()) {
    const [program = "", ...args] = internet.inside(["iperf3", "-s", "-p", String(firstPort + index)]);
    const server = spawn(program, args, { env: environment, stdio: "ignore" });
    cleanup.defer(() => server.kill("SIGKILL"));
  }
  await sleep(300);
  return { stop: () => cleanup.run() };
}

interface IperfEnd {
  readonly end: {
    readonly sum_received: { readonly bits_per_second: number };
    readonly sum_sent: { readonly retransmits?: number };
  };
}

/** Gbit/s received. */
export async function iperf(
  pod: Netns,
  index: number,
  target: string,
  seconds: number,
  ...more: string[]
): Promise<number> {
  const port = String(firstPort + index);
  const argv = ["iperf3", "-J", "-c", target, "-p", port, "-t", String(seconds), ...more];
  const output = await pod.run(argv, { timeoutMs: (seconds + 20) * 1000 });
  return (JSON.parse(output) as IperfEnd).end.sum_received.bits_per_second / 1e9;
}
