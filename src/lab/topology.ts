import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { labAddresses, type PodAddresses, podAddresses } from "./addresses.ts";
import { type Cleanup, createCleanup } from "./cleanup.ts";
import { createNetns, type Netns, setResolver } from "./netns.ts";

export interface TopologyOptions {
  /** First part of the namespaces' names. Default "eg46". */
  readonly prefix?: string;
  /** Default 1. */
  readonly pods?: number;
  /** Pods have IPv6 too. Default false. */
  readonly podIpv6?: boolean;
  /** Default 1500. */
  readonly internalMtu?: number;
  readonly externalMtu?: number;
  /** Whether Pods get a resolv.conf of their own by /etc/netns. Default true. */
  readonly resolver?: boolean;
}

export interface Pod extends Netns, PodAddresses {
  /** The gateway's interface towards this Pod. */
  readonly link: string;
}

/**
 * Pods ── internal0… gateway external ── internet. The internet has no route to the Pods' networks: what reaches
 * a Pod went out with a source address of the gateway.
 */
export interface Topology {
  readonly pods: readonly [Pod, ...Pod[]];
  readonly gateway: Netns;
  readonly internet: Netns;
  /** The gateway's interfaces. */
  readonly internal: readonly string[];
  readonly external: string;
  /** A folder for stores and CRs that the unprivileged gateway can look into; removed with the topology. */
  readonly folder: string;
  readonly cleanup: Cleanup;
  /** Ends all that runs inside and removes the namespaces; also done when this process exits. */
  close(): void;
}

export async function buildTopology(options: TopologyOptions = {}): Promise<Topology> {
  const cleanup = createCleanup();
  try {
    return await build(options, cleanup);
  } catch (error) {
    cleanup.run();
    throw error;
  }
}

async function build(options: TopologyOptions, cleanup: Cleanup): Promise<Topology> {
  const base = `${options.prefix ?? "eg46"}-${randomBytes(3).toString("hex")}`;
  const gateway = createNetns(`${base}-gateway`, cleanup);
  const internet = createNetns(`${base}-internet`, cleanup);
  await gateway.sysctl({ ...quickStart, "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 });
  await internet.sysctl(quickStart);
  await connectInternet(gateway, internet, options.externalMtu ?? 1500);
  const pods: Pod[] = [];
  for (let index = 0; index < (options.pods ?? 1); index++)
    pods.push(await connectPod(gateway, createNetns(`${base}-pod${index}`, cleanup), index, options));
  for (const pod of pods) if (options.resolver ?? true) setResolver(pod.name, labAddresses.resolver, cleanup);
  await Promise.all([gateway, internet, ...pods].map(linksReady));
  return {
    pods: pods as [Pod, ...Pod[]],
    gateway,
    internet,
    internal: pods.map(({ link }) => link),
    external: "external",
    folder: temporaryFolder(cleanup),
    cleanup,
    close: () => cleanup.run(),
  };
}

function temporaryFolder(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), "egress46-lab-"));
  // Retries, since a process that was killed a moment ago may still be writing.
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));
  chmodSync(folder, 0o755);
  return folder;
}

/** No waiting for duplicate address detection, no dropping of what a test routes oddly on purpose. */
const quickStart = {
  "ipv6/conf/all/accept_dad": 0,
  "ipv6/conf/default/accept_dad": 0,
  "ipv6/conf/default/accept_ra": 0,
  "ipv4/conf/all/rp_filter": 0,
  "ipv4/conf/default/rp_filter": 0,
};

/**
 * The kernel brings a veth's operational state up as late as a second after its peer, and asks for no IPv6
 * neighbour before.
 */
async function linksReady(netns: Netns): Promise<void> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const links = (await netns.run(["ip", "-brief", "link", "show", "type", "veth"])).trim().split("\n");
    if (links.every((link) => / UP /.test(link))) return;
    if (performance.now() > deadline)
      throw new Error(`${netns.name}: a link does not come up: ${links.join("; ")}`);
    await sleep(20);
  }
}

async function connectInternet(gateway: Netns, internet: Netns, mtu: number): Promise<void> {
  const { gateway: self, internet: router, dns, sorry, web } = labAddresses;
  await gateway.ip([
    "link set lo up",
    `link add external mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${internet.name}`,
    `addr add ${self.external4}/24 dev external`,
    `addr add ${self.external6}/64 dev external nodad`,
    "link set external up",
  ]);
  await internet.ip([
    "link set lo up",
    `addr add ${router.router4}/24 dev eth0`,
    ...[...dns, sorry].map((address) => `addr add ${address}/24 dev eth0`),
    `addr add ${router.router6}/64 dev eth0 nodad`,
    ...Object.values(web).map(
      (address) => `addr add ${address} dev lo${address.includes(":") ? " nodad" : ""}`,
    ),
    "link set eth0 up",
  ]);
  await gateway.ip([
    `route add default via ${router.router4}`,
    `route add default via ${router.router6} dev external`,
  ]);
}

async function connectPod(gateway: Netns, pod: Netns, index: number, options: TopologyOptions): Promise<Pod> {
  const addresses = podAddresses(index);
  const link = `internal${index}`;
  const mtu = options.internalMtu ?? 1500;
  const ipv6 = options.podIpv6 ?? false;
  const disabled = ipv6 ? 0 : 1;
  await pod.sysctl({
    ...quickStart,
    "ipv6/conf/all/disable_ipv6": disabled,
    "ipv6/conf/default/disable_ipv6": disabled,
  });
  await gateway.ip([
    `link add ${link} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${pod.name}`,
    `addr add ${addresses.gateway4}/24 dev ${link}`,
    ...(ipv6 ? [`addr add ${addresses.gateway6}/64 dev ${link} nodad`] : []),
    `link set ${link} up`,
  ]);
  await pod.ip([
    "link set lo up",
    `addr add ${addresses.ipv4}/24 dev eth0`,
    ...(ipv6 ? [`addr add ${addresses.ipv6}/64 dev eth0 nodad`] : []),
    "link set eth0 up",
    `route add default via ${addresses.gateway4}`,
    ...(ipv6 ? [`route add default via ${addresses.gateway6}`] : []),
  ]);
  return { ...pod, ...addresses, link };
}
