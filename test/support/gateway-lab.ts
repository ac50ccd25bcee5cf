import { readdirSync, readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import {
  buildTopology,
  egress46,
  type Gateway,
  gatewayCommand,
  type Internet,
  type InternetSpec,
  labAddresses,
  labFiles,
  startGateway,
  startInternet,
  type Topology,
  type TopologyOptions,
  writeResources,
} from "./topology.ts";

export interface GatewayLab {
  readonly topology: Topology;
  readonly internet: Internet;
  readonly gateway: Gateway;
  /** Folder of the CRs in force. */
  readonly resources: string;
  readonly store: string;
  /** Starts a gateway again with the same arguments and further ones. */
  restart(...args: string[]): Promise<Gateway>;
  /** `egress46 …` in the gateway's namespace; rejects when it fails. */
  command(...args: string[]): Promise<string>;
  /** The virtual-server table by name, as tmctl prints it. */
  connections(): Promise<Record<string, number>>;
  /** Drop reasons that were hit. */
  drops(): Promise<Record<string, number>>;
}

export interface GatewayLabOptions extends TopologyOptions {
  /** CR text by file name; without it the lab's own. */
  readonly resources?: Readonly<Record<string, string>>;
  readonly store?: (topology: Topology) => Promise<{ url: string; args?: readonly string[] }>;
  readonly args?: readonly string[];
  /** Those that need the topology. */
  readonly argsOf?: (topology: Topology) => readonly string[];
  /** Without it the lab's own servers. */
  readonly internet?: InternetSpec;
}

/** Pods, gateway and internet, running; everything goes with the test. */
export async function gatewayLab(t: TestContext, options: GatewayLabOptions = {}): Promise<GatewayLab> {
  const topology = await buildTopology({ prefix: "eg46test", ...options });
  t.after(() => topology.close());
  const internet = await startInternet(topology, options.internet);
  const resources = options.resources ? writeResources(topology, options.resources) : labFiles;
  const { url: store, args: storeArgs = [] } = (await options.store?.(topology)) ?? {
    url: `lmdb:${topology.folder}/mappings`,
  };
  const restart = (...args: string[]) =>
    startGateway(
      topology,
      gatewayCommand(topology, {
        files: [resources],
        store,
        args: [...storeArgs, ...(options.argsOf?.(topology) ?? options.args ?? []), ...args],
      }),
    );
  const gateway = await restart();
  const command = (...args: string[]) => topology.gateway.run([...egress46, ...args]);
  return {
    topology,
    internet,
    gateway,
    resources,
    store,
    restart,
    command,
    async connections() {
      const path = "/var/tmstat/blade/tmm0";
      const table = await command(
        "tmctl",
        "-f",
        path,
        "virtual_server_stat",
        "-s",
        "name,serverside.tot_conns",
      );
      const rows = table.trim().split("\n").slice(2);
      return Object.fromEntries(
        rows.map((row) => row.trim().split(/\s+/)).map(([name, n]) => [name, Number(n)]),
      );
    },
    async drops() {
      const { drops } = JSON.parse(await command("drops", "--all", "-o", "json")) as {
        drops: { reason: string; count: number }[];
      };
      return Object.fromEntries(
        drops.filter(({ count }) => count > 0).map(({ reason, count }) => [reason, count]),
      );
    },
  };
}

/** The specification's first CR: automap, both families. */
export const automapResource = `
apiVersion: "k8s.f5net.com/v1"
kind: F5SPKEgress
metadata:
  name: egress-crd
  namespace: spk-ingress
spec:
  dualStackEnabled: true
  egressSnatpool: ""
`;

/** One address of each family for all Pods, DNS46, both families. */
export const poolResource = `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  dualStackEnabled: true
  egressSnatpool: egress_snatpool
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${labAddresses.natSubnet}
  dnsNat46PoolIps: [${labAddresses.dns.join(", ")}]
---
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: pool, namespace: spk-ingress }
spec:
  name: egress_snatpool
  addressList: [["${labAddresses.snatPool.ipv6[0]}", "${labAddresses.snatPool.ipv4[0]}"]]
`;

/** The same with two lists, one a worker. */
export const twoListResource = poolResource.replace(
  /addressList: .*/,
  `addressList: ${JSON.stringify([0, 1].map((n) => [labAddresses.snatPool.ipv6[n], labAddresses.snatPool.ipv4[n]]))}`,
);

/** The gateway process of a netd. */
export function childOf(netd: number): number {
  const threads = readdirSync(`/proc/${netd}/task`);
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${netd}/task/${thread}/children`, "utf8")
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number),
  );
  // Now and then netd runs `ip` or `nft`, too.
  const child = children.find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("gateway/main.js"),
  );
  if (child === undefined) throw new Error(`netd ${netd} has no gateway process`);
  return child;
}

/** Polls until the condition holds; fails after \`withinMs\`. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean>,
  withinMs = 5000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
