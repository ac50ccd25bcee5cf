/** Several gateways, each with a Pod and an internet of its own, that share one Redis over a network of theirs. */
import type { TestContext } from "node:test";
import { createCleanup } from "../../src/lab/cleanup.ts";
import { createNetns, type Netns } from "../../src/lab/netns.ts";
import { askAll, type LedgerLine } from "./ledger.ts";
import {
  buildTopology,
  type Gateway,
  gatewayCommand,
  labAddresses,
  startGateway,
  startInternet,
  type Topology,
  writeResources,
} from "./topology.ts";

/** The address of the shared network's host, which runs the stores. */
export const storeAddress = "192.0.2.1";

export interface Member {
  readonly topology: Topology;
  readonly gateway: Gateway;
}

export interface Fleet {
  readonly members: readonly Member[];
  /** Where the stores run. */
  readonly storeHost: Netns;
}

export const hostOf = (index: number) => `2001:db8:f::${(index + 1).toString(16)}`;
export const nameOf = (index: number) => `host${index}.fleet.example`;

/** All names with their hosts. */
export function hostsByName(names: number): ReadonlyMap<string, string> {
  return new Map(Array.from({ length: names }, (_, index) => [nameOf(index), hostOf(index)]));
}

/** A Pod of each member asks for all names, at once and in different orders; see ask-many.ts. Resolves to the ledgers. */
export async function askFleet(
  members: readonly Member[],
  names: readonly string[],
  spreadMs = 0,
): Promise<LedgerLine[][]> {
  return await Promise.all(
    members.map(({ topology }, index) => {
      // Each begins elsewhere, and every other one goes backwards.
      const start = Math.floor((index * names.length) / members.length);
      const order = [...names.slice(start), ...names.slice(0, start)];
      return askAll(
        topology.pods[0],
        labAddresses.resolver,
        index % 2 === 0 ? order : order.reverse(),
        spreadMs,
      );
    }),
  );
}

export interface FleetOptions {
  readonly gateways: number;
  /** How many names there are, each with one AAAA of its own. */
  readonly names: number;
  readonly subnet: string;
  /** Starts the store inside `storeHost` and tells the gateways' --store, and further arguments. */
  readonly store: (storeHost: Netns) => Promise<{ url: string; args?: readonly string[] }>;
}

export async function startFleet(t: TestContext, options: FleetOptions): Promise<Fleet> {
  const cleanup = createCleanup();
  t.after(() => cleanup.run());
  const storeHost = createNetns(`eg46fleet-${process.pid}-store`, cleanup);
  await storeHost.ip([
    "link set lo up",
    "link add bridge type bridge",
    `addr add ${storeAddress}/24 dev bridge`,
    "link set bridge up",
  ]);
  const { url, args = [] } = await options.store(storeHost);
  const names = Object.fromEntries(
    Array.from({ length: options.names }, (_, index) => [
      nameOf(index),
      { records: { AAAA: [hostOf(index)] } },
    ]),
  );
  const zone = { soa: { zone: "fleet.example", ttl: 60, minimum: 60 }, names };
  const members: Member[] = [];
  for (let index = 0; index < options.gateways; index++) {
    const topology = await buildTopology({ prefix: "eg46fleet" });
    t.after(() => topology.close());
    await storeHost.ip([
      `link add gateway${index} type veth peer name store netns ${topology.gateway.name}`,
      `link set gateway${index} master bridge`,
      `link set gateway${index} up`,
    ]);
    await topology.gateway.ip([`addr add 192.0.2.${10 + index}/24 dev store`, "link set store up"]);
    await startInternet(topology, { web: [], dns: [{ address: labAddresses.dns[0], zone }] });
    const files = [writeResources(topology, { "all.yaml": resources(options.subnet) })];
    members.push({
      topology,
      gateway: await startGateway(topology, gatewayCommand(topology, { files, store: url, args })),
    });
  }
  return { members, storeHost };
}

const resources = (subnet: string) => `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${subnet}
  dnsNat46PoolIps: [${labAddresses.dns[0]}]
`;
