/** Far hosts and a Pod's connections, for tests of Envoy as the data plane. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type PeerResult, peerProgram } from "./tcp-peer.ts";
import {
  type InternetSpec,
  labAddresses,
  labServers,
  labZone,
  type Netns,
  type Topology,
} from "./topology.ts";

export const peerPort = 7000;
const farNet = "2001:db8:47::";

/** n0.example … n99.example, each a host of its own with IPv6 only. */
export const farNames = Array.from({ length: 100 }, (_, n) => `n${n}.example`);
export const farHost = (n: number) => `${farNet}${(n + 1).toString(16)}`;

const zone = {
  ...labZone,
  names: {
    ...labZone.names,
    ...Object.fromEntries(farNames.map((name, n) => [name, { ttl: 60, records: { AAAA: [farHost(n)] } }])),
  },
};
export const farInternet: InternetSpec = {
  web: labServers,
  dns: labAddresses.dns.map((address) => ({ address, zone })),
};

/** The far hosts' server (tcp-peer.ts). */
export async function startFarHosts(topology: Topology): Promise<void> {
  await topology.internet.ip([`route add local ${farNet}/64 dev lo`]);
  const [program = "", ...args] = topology.internet.inside([
    process.execPath,
    peerProgram,
    "serve",
    `${peerPort}`,
  ]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  topology.cleanup.defer(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
}

/** The A record that a Pod gets. */
export async function resolveA(pod: Netns, name: string): Promise<string> {
  return (await pod.run(["dig", "+short", "+tries=3", "+time=5", name, "A"])).trim().split("\n")[0] ?? "";
}

/** Of many names: some at a time, for each is a process. */
export async function resolveAll(pod: Netns, names: readonly string[]): Promise<string[]> {
  const addresses: string[] = [];
  for (let n = 0; n < names.length; n += 10)
    addresses.push(...(await Promise.all(names.slice(n, n + 10).map((name) => resolveA(pod, name)))));
  return addresses;
}

/** Connections at once, round the hosts (`address:port`). */
export async function talk(
  pod: Netns,
  bytes: number,
  count: number,
  hosts: readonly string[],
): Promise<readonly PeerResult[]> {
  const argv = [process.execPath, peerProgram, "connect", `${bytes}`, `${count}`, ...hosts];
  return JSON.parse(await pod.run(argv, { timeoutMs: 300_000 }));
}

export interface HeldConnection {
  /** Transfers, and says how it went. */
  finish(): Promise<PeerResult>;
}

/** A connection that is open and idle until finish(). */
export async function hold(pod: Netns, bytes: number, host: string): Promise<HeldConnection> {
  const [program = "", ...args] = pod.inside([process.execPath, peerProgram, "hold", `${bytes}`, "1", host]);
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = once(child, "close");
  while (!output.includes("\n")) await Promise.race([once(child.stdout, "data"), ended]);
  return {
    async finish() {
      child.stdin.end("go\n");
      await ended;
      return (JSON.parse(output.slice(output.indexOf("["))) as PeerResult[])[0]!;
    },
  };
}
