/** Where a Pod's resolver is: behind egress46, or behind a kernel that forwards. The zones are NSD's in both. */
import { labAddresses } from "../../src/lab/addresses.ts";
import { gatewayCommand, startGateway } from "../../src/lab/gateway.ts";
import type { Netns } from "../../src/lab/netns.ts";
import { buildTopology, type Topology } from "../../src/lab/topology.ts";
import { startRedis } from "../../test/support/redis.ts";
import { writeResources } from "../../test/support/topology.ts";
import { benchResources } from "../resources.ts";
import { startBind, startNsd, startUnbound } from "./servers.ts";
import { writeZones } from "./zones.ts";

/** One resolver as a Pod sees it. */
export interface Resolver {
  readonly name: string;
  readonly pod: Netns;
  readonly address: string;
  /** The resolver's processes, at present. */
  processes(): Promise<number[]>;
  /** Which names need its work: `six` (AAAA only, asked for A) for DNS46, `four` (A only, asked for AAAA) for DNS64. */
  readonly work: { readonly label: "six" | "four"; readonly type: "A" | "AAAA" };
}

export interface World {
  /** The gateway's CRs; undefined where there is no gateway. */
  readonly resources?: string;
  /** For files of questions. */
  readonly folder: string;
  readonly resolvers: readonly Resolver[];
  close(): Promise<void>;
}

const prefix = "eg46bench";
const { dns, resolver, snatPool } = labAddresses;
/** Room for every name that is asked once. */
const natSubnet = "10.64.0.0/12";
const dns46 = { label: "six", type: "A" } as const;
const dns64 = { label: "four", type: "AAAA" } as const;

async function withNsd(cold: number): Promise<Topology> {
  const topology = await buildTopology({ prefix, resolver: false });
  try {
    const place = {
      netns: topology.internet,
      folder: topology.folder,
      cleanup: topology.cleanup,
      address: dns[0],
    };
    await startNsd(place, writeZones(topology.folder, cold));
    return topology;
  } catch (error) {
    topology.close();
    throw error;
  }
}

/** `egress46 run` with one worker; mappings in a Redis on the gateway's loopback, or in LMDB. */
export async function egress46(store: "redis" | "lmdb", cold: number): Promise<World> {
  const topology = await withNsd(cold);
  const { gateway, folder, pods } = topology;
  const redis = store === "redis" ? await startRedis({ inside: gateway.inside }) : undefined;
  const close = async () => {
    topology.close();
    await redis?.stop();
  };
  try {
    const lists = [[snatPool.ipv6[0], snatPool.ipv4[0]]];
    const text = benchResources({ lists, natSubnet, upstreams: [dns[0]] });
    const files = writeResources(topology, { "all.yaml": text });
    const settings = { files: [files], store: redis?.url ?? `lmdb:${folder}/mappings` };
    const running = await startGateway(topology, gatewayCommand(topology, settings));
    const processes = async () => {
      const inside = (await gateway.execute(["ip", "netns", "pids", gateway.name])).stdout;
      const children = inside.split("\n").filter(Boolean).map(Number);
      return children.length > 0 ? children : [running.pid];
    };
    const name = store === "redis" ? "egress46" : "egress46, LMDB";
    return {
      folder,
      resources: `${files}/all.yaml`,
      resolvers: [{ name, pod: pods[0], address: resolver, processes, work: dns46 }],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** unbound with one thread, BIND with one worker, and NSD itself, in the internet's namespace. */
export async function forwarders(cold: number): Promise<World> {
  const topology = await withNsd(cold);
  const { internet, folder, cleanup, pods } = topology;
  const [pod] = pods;
  try {
    await internet.ip([`route add ${pod.net4} via ${labAddresses.gateway.external4}`]);
    const resolvers: Resolver[] = [
      { name: "NSD", pod, address: dns[0], processes: async () => [], work: dns46 },
    ];
    const kinds = { unbound: startUnbound, BIND: startBind };
    for (const [name, start] of Object.entries(kinds))
      for (const work of ["plain", "dns64"] as const) {
        const address = `10.244.40.${60 + resolvers.length}`;
        await internet.ip([`addr add ${address}/24 dev eth0`]);
        const { pid } = await start({ netns: internet, folder, cleanup, address }, dns[0], work);
        const title = work === "plain" ? name : `${name} dns64`;
        resolvers.push({ name: title, pod, address, processes: async () => [pid], work: dns64 });
      }
    return { folder, resolvers, close: async () => topology.close() };
  } catch (error) {
    topology.close();
    throw error;
  }
}
