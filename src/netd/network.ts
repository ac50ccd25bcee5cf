import { formatCidr, parseCidr } from "../addresses.ts";
import { close } from "../dataplane/syscalls.ts";
import { closeTun, type Tun } from "../dataplane/tun.ts";
import { hasDynamicFiles, writeDynamicFiles } from "../envoy/files.ts";
import type { EnvoyOptions } from "../envoy/options.ts";
import type { Logger } from "../log.ts";
import { applySteps, undoSteps } from "./apply.ts";
import { readAutomapPorts } from "./automap-ports.ts";
import { output } from "./command.ts";
import { openDnsSocket, wantedDnsSockets } from "./dns-sockets.ts";
import { divertsToEnvoy } from "./envoy-rules.ts";
import type { Host } from "./host.ts";
import { type HostView, hostHasIpv6, readHostView } from "./host-view.ts";
import { readItems } from "./kernel-state.ts";
import { checkPlan } from "./plan-check.ts";
import type { DnsSocket, HostFacts, NetworkPlan } from "./protocol.ts";
import { routeMtus, smallestMtu } from "./route-mtus.ts";
import { removeRuleset, tableName } from "./ruleset.ts";
import { desiredState, type NetState } from "./state.ts";
import { planSteps, type Step } from "./steps.ts";
import { readSysctl } from "./sysctl.ts";
import {
  chooseInterfaces,
  defaultSources,
  interfaceFacts,
  internalNetworks,
  type TopologyRequest,
} from "./topology.ts";
import { openTuns } from "./tuns.ts";

/** IP packets have no link header here: the largest that a TUN takes. */
const tunMtu = 65535;
/** How many calls of `refresh` without a visible change go by before it looks at everything. */
const mendEveryLooks = 5;

export type NetworkFacts = Omit<HostFacts, "tuns" | "descriptorChannel">;

/** The host's network as netd manages it. The operations run one after another, whoever calls. */
export interface Network {
  readonly tuns: readonly Tun[];
  facts(): NetworkFacts;
  /** Brings the host to a plan of the gateway. Rejects with EG46_HOST_NETWORK; then everything is as before. */
  apply(plan: NetworkPlan): Promise<void>;
  /** Looks whether the host changed under us and mends what that broke. True when there are new facts. */
  refresh(): Promise<boolean>;
  /** Open DNS sockets with their descriptors in this process; empty while no plan asks for interception. */
  dnsSockets(): ReadonlyMap<DnsSocket, number>;
  /** Back to what was there before: for a start that failed. */
  undo(): Promise<void>;
  /** The start succeeded: there is no `undo` any more. */
  keep(): void;
  /** Removes everything of ours but the sysctls. */
  cleanup(): Promise<void>;
  /** Gives up the devices and sockets; guard, rules and blackholes stay and keep traffic refused. */
  close(): void;
}

/** Guards, then sets up the TUNs and the way into them. Throws EG46_USAGE, EG46_PREREQUISITE or EG46_HOST_NETWORK. */
export async function setUpNetwork(
  request: TopologyRequest,
  workers: number,
  log: Logger,
  envoy?: EnvoyOptions,
): Promise<Network> {
  const ipv6 = hostHasIpv6();
  let view = await readHostView();
  const interfaces = chooseInterfaces(view, request);
  // First of all, because a gateway that already runs here holds them; they don't carry anything yet.
  const tuns = await openTuns(envoy === undefined ? workers : 0);
  const automapPorts = readAutomapPorts();
  const sockets = new Map<DnsSocket, number>();
  const made: Step[] = [];
  let undoable = true;
  let looks = 0;
  let plan: NetworkPlan = { workers, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false };
  let nft = await currentRuleset();
  let queue: Promise<unknown> = Promise.resolve();

  const host = (): Host => ({
    ...interfaces,
    internalNets: internalNetworks(view, interfaces, request.internalNets),
    tuns: tuns.map((tun) => tun.name),
    connected: interfaceFacts(view, interfaces.internal).flatMap(({ name, addresses }) =>
      addresses.map((address) => ({ device: name, net: formatCidr(parseCidr(address)) })),
    ),
    ...{ ipv6, envoy },
  });
  const facts = (): NetworkFacts => {
    const { internalNets } = host();
    const internal = interfaceFacts(view, interfaces.internal);
    const external = interfaceFacts(view, interfaces.external);
    const mtus = { inner: smallestMtu(internal), outer: smallestMtu(external) };
    return {
      ...{ internalNets, internal, external, automapPorts },
      defaultSources: defaultSources(view, interfaces.external),
      ...routeMtus(view, internalNets, mtus),
    };
  };

  /** Resolves to the number of changes that it took. */
  async function converge(wanted: NetState, keepOld: boolean, links: readonly Step[] = []): Promise<number> {
    // Firewall scripts like to flush everything.
    if (!(await hasTable())) nft = removeRuleset;
    const [guard, rest] = partition(
      planSteps({ nft, items: await readItems(ipv6), readSysctl }, wanted, keepOld),
    );
    const steps = [...guard, ...links, ...rest];
    await applySteps(steps, log);
    if (undoable) made.push(...steps);
    nft = wanted.nft;
    return steps.length;
  }

  async function reach(next: NetworkPlan): Promise<number> {
    const wanted = next.dnsIntercept ? wantedDnsSockets(facts().internal, ipv6) : [];
    const opened = openMissing(sockets, wanted);
    let changes: number;
    try {
      changes = await converge(desiredState(host(), next), false);
    } catch (error) {
      closeSockets(sockets, opened);
      throw error;
    }
    if (envoy !== undefined) writeDynamicFiles(envoy, next.envoy?.sources ?? [], facts().internalNets);
    const names = new Set(wanted.map(socketKey));
    closeSockets(
      sockets,
      [...sockets.keys()].filter((socket) => !names.has(socketKey(socket))),
    );
    plan = next;
    return changes;
  }

  function serially<Result>(operation: () => Promise<Result>): Promise<Result> {
    const result = queue.then(operation);
    queue = result.catch(() => {});
    return result;
  }

  function release(): void {
    closeSockets(sockets, [...sockets.keys()]);
    for (const tun of tuns.splice(0)) closeTun(tun);
  }

  try {
    const links = [...loopbackUp(view), ...tuns.flatMap(({ name }) => tunUp(name, ipv6))];
    const first = desiredState(host(), plan);
    // A predecessor's: Envoy goes on with what it knows until the first plan is there.
    await converge(envoy !== undefined && divertsToEnvoy(nft) ? { ...first, nft } : first, true, links);
    // An Envoy that is started early finds files, too.
    if (envoy !== undefined && !hasDynamicFiles(envoy)) writeDynamicFiles(envoy, [], facts().internalNets);
  } catch (error) {
    release();
    throw error;
  }

  return {
    tuns,
    facts,
    dnsSockets: () => sockets,
    apply: (next) =>
      serially(async () => {
        const checked = checkPlan(next, tuns.length);
        warnOfLocalAddresses(view, checked, log);
        await reach(checked);
      }),
    refresh: () =>
      serially(async () => {
        const next = await readHostView();
        const same = JSON.stringify(next) === JSON.stringify(view);
        if (same && ++looks % mendEveryLooks !== 0) return false;
        const before = JSON.stringify(facts());
        view = next;
        const changes = await reach(plan);
        if (same && changes > 0) log.warn(`mended ${changes} things that somebody else had changed`);
        return JSON.stringify(facts()) !== before;
      }),
    keep() {
      undoable = false;
      made.length = 0;
    },
    undo: () =>
      serially(async () => {
        await undoSteps(made.splice(0), log);
        release();
      }),
    cleanup: () =>
      serially(async () => {
        await converge({ nft: removeRuleset, sysctls: [], items: [] }, false);
        release();
        log.info(
          "removed rules, routes, tables, neighbour proxies, devices and the guard; sysctls stay as they are",
        );
      }),
    close: release,
  };
}

/** A ruleset text that restores our table as it is now, or removes it if there is none. */
async function currentRuleset(): Promise<string> {
  if (!(await hasTable())) return removeRuleset;
  const listed = await output("nft", ["list", "table", "inet", tableName]);
  return `add table inet ${tableName}\nflush table inet ${tableName}\n${listed}`;
}

async function hasTable(): Promise<boolean> {
  return (await output("nft", ["list", "tables"])).split("\n").includes(`table inet ${tableName}`);
}

function loopbackUp(view: HostView): Step[] {
  const up = view.links.some((link) => link.name === "lo" && link.up);
  return up ? [] : [{ tool: "link", run: "link set dev lo up", undo: "link set dev lo down" }];
}

/**
 * Up, and silent: the kernel's own router solicitations and multicast reports would be drops in the engine. A device
 * that forwards has joined the routers' group at its creation, and would report that. A MTU too small for IPv6
 * (RFC 8200 §5) takes IPv6 off the device; what comes back, multicast being off, joins nothing.
 */
function tunUp(name: string, ipv6: boolean): Step[] {
  const quiet = ["multicast off mtu 1279", `mtu ${tunMtu}`, "addrgenmode none"];
  return [...(ipv6 ? quiet : []), `mtu ${tunMtu} up`].map((setting) => ({
    tool: "link",
    run: `link set dev ${name} ${setting}`,
    undo: `link set dev ${name} down`,
  }));
}

function warnOfLocalAddresses(view: HostView, plan: NetworkPlan, log: Logger): void {
  const local = new Map(
    view.links.flatMap((link) => link.addresses.map((address) => [address.split("/")[0], link.name])),
  );
  for (const { address } of plan.snatPool)
    if (local.has(address))
      log.warn(
        `SNAT pool address ${address} is also an address of ${local.get(address)}: the host itself takes its return traffic`,
      );
}

function openMissing(sockets: Map<DnsSocket, number>, wanted: readonly DnsSocket[]): DnsSocket[] {
  const present = new Set([...sockets.keys()].map(socketKey));
  const opened: DnsSocket[] = [];
  try {
    for (const socket of wanted.filter((one) => !present.has(socketKey(one)))) {
      sockets.set(socket, openDnsSocket(socket));
      opened.push(socket);
    }
    return opened;
  } catch (error) {
    closeSockets(sockets, opened);
    throw error;
  }
}

function closeSockets(sockets: Map<DnsSocket, number>, which: readonly DnsSocket[]): void {
  for (const socket of which) {
    close(sockets.get(socket)!);
    sockets.delete(socket);
  }
}

function socketKey({ transport, address, device }: DnsSocket): string {
  return `${transport} ${address} ${device}`;
}

function partition(steps: readonly Step[]): [guard: Step[], rest: Step[]] {
  return [steps.filter((step) => step.tool === "nft"), steps.filter((step) => step.tool !== "nft")];
}
