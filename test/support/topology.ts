import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { labAddresses } from "../../src/lab/addresses.ts";
import { exitOnSignals } from "../../src/lab/cleanup.ts";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";
import type { Topology } from "../../src/lab/topology.ts";

export { labAddresses, podAddresses } from "../../src/lab/addresses.ts";
export {
  egress46,
  type Gateway,
  gatewayCommand,
  labFiles,
  startGateway,
} from "../../src/lab/gateway.ts";
export { type Internet, type InternetSpec, labServers, startInternet } from "../../src/lab/internet.ts";
export type { Netns } from "../../src/lab/netns.ts";
export { ask, fetchPage } from "../../src/lab/pod-client.ts";
export { buildTopology, type Pod, type Topology, type TopologyOptions } from "../../src/lab/topology.ts";
export { labZone } from "../../src/lab/zone.ts";

// The runner ends a file that takes too long by SIGTERM; its namespaces must go then, too.
exitOnSignals();

/** Writes CRs into a new folder and returns its path, for `-f`. */
export function writeResources(topology: Topology, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(topology.folder, "resources-"));
  chmodSync(folder, 0o755);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Gives the internet routes back to the Pods: the kernel alone then forwards, which is what we compare with. */
export async function allowKernelForwarding({ internet, pods }: Topology): Promise<void> {
  const { external4, external6 } = labAddresses.gateway;
  await internet.ip(
    pods.flatMap(({ net4, net6 }) => [
      `route replace ${net4} via ${external4}`,
      `route replace ${net6} via ${external6}`,
    ]),
  );
}

export interface Capture {
  /** Ends the capture and resolves to tcpdump's lines, one a packet. */
  stop(): Promise<readonly string[]>;
}

/** Starts tcpdump inside the namespace; resolves once it sees packets. `filter` in pcap's language. */
export async function capture(netns: Netns, device: string, filter = ""): Promise<Capture> {
  const [program = "", ...args] = netns.inside(["tcpdump", "-nn", "-l", "--immediate-mode", "-i", device]);
  const child = spawn(program, [...args, filter], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let output = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const failed = closed.then(() => {
    throw new Error(`tcpdump: ${log.trim()}`);
  });
  // Only a capture that ends before it began is an error.
  failed.catch(() => {});
  while (!log.includes("listening on")) await Promise.race([once(child.stderr, "data"), failed]);
  return {
    async stop() {
      // Packets that were on the wire a moment ago are still being read.
      await sleep(200);
      child.kill("SIGINT");
      await closed;
      return output.split("\n").filter(Boolean);
    },
  };
}
