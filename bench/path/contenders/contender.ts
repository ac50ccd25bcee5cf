import type { Netns } from "../../../src/lab/netns.ts";

/** One way from Pods to a host on the internet, in namespaces of its own. */
export interface Contender {
  readonly name: string;
  /** Four, but for `direct`, which has one. */
  readonly pods: readonly Netns[];
  readonly internet: Netns;
  /** Undefined: there is none. */
  readonly gateway: Netns | undefined;
  /** The host's address as Pods see it. */
  readonly target: string;
  close(): void;
}

/** Resolves once every Pod reaches the host; rejects after 15 s. */
export async function reachable(contender: Contender): Promise<void> {
  for (const pod of contender.pods) {
    const ping = ["ping", "-c1", "-W1", contender.target];
    const deadline = performance.now() + 15_000;
    while ((await pod.execute(ping)).code !== 0)
      if (performance.now() > deadline)
        throw new Error(`${contender.name}: ${pod.name} does not reach ${contender.target}`);
  }
}

/** Process ids in the gateway's namespace. */
export async function gatewayProcesses({ gateway }: Contender): Promise<number[]> {
  if (gateway === undefined) return [];
  const { stdout } = await gateway.execute(["ip", "netns", "pids", gateway.name]);
  return stdout.split("\n").filter(Boolean).map(Number);
}
