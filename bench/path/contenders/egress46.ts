import { labAddresses } from "../../../src/lab/addresses.ts";
import { egress46 as command, gatewayCommand, startGateway } from "../../../src/lab/gateway.ts";
import { buildTopology, type Pod, type Topology } from "../../../src/lab/topology.ts";
import { writeResources } from "../../../test/support/topology.ts";
import { benchResources } from "../../resources.ts";
import { type Contender, reachable } from "./contender.ts";
import { contender } from "./kernel.ts";

const { snatPool, web } = labAddresses;
const nat4 = "10.244.50.7";
/** The nth list is the nth worker's. */
const lists = [0, 1].map((n) => [snatPool.ipv6[n]!, snatPool.ipv4[n]!]);

/** The gateway of this build as `egress46 run` starts it, with a mapping made by hand. */
export async function egress46(prefix: string, pods: number, workers: number): Promise<Contender> {
  const topology = await buildTopology({ prefix, pods: workers === 1 ? pods : 2 * pods, resolver: false });
  const files = writeResources(topology, { "all.yaml": benchResources({ lists }) });
  const store = `lmdb:${topology.folder}/mappings`;
  try {
    await startGateway(
      topology,
      gatewayCommand(topology, { files: [files], store, args: ["--workers", String(workers)] }),
    );
    await topology.gateway.run([...command, "mappings", "add", nat4, web.v6only, "--store", store]);
  } catch (error) {
    topology.close();
    throw error;
  }
  const all = contender(workers === 1 ? "egress46" : `egress46 ×${workers}`, topology, nat4);
  if (workers === 1) return all;
  await reachable(all);
  try {
    return { ...all, pods: await spreadPods(topology, workers, pods / workers) };
  } catch (error) {
    topology.close();
    throw error;
  }
}

/** `each` Pods of every worker: which is whose depends on a hash of their addresses. */
async function spreadPods(topology: Topology, workers: number, each: number): Promise<readonly Pod[]> {
  const { internet, pods } = topology;
  const nft = (command: string) => internet.run(["nft", command]);
  await nft("add table ip6 seen");
  await nft("add set ip6 seen sources { type ipv6_addr; flags dynamic; size 64; }");
  await nft("add chain ip6 seen in { type filter hook input priority 0; }");
  await nft("add rule ip6 seen in icmpv6 type echo-request add @sources { ip6 saddr }");
  const byWorker: Pod[][] = Array.from({ length: workers }, () => []);
  for (const pod of pods) {
    await nft("flush set ip6 seen sources");
    await pod.run(["ping", "-c1", nat4]);
    const seen = await nft("list set ip6 seen sources");
    const worker = lists.findIndex((list) => list.some((address) => seen.includes(address.split("::")[1]!)));
    if (worker < 0) throw new Error(`the address of ${pod.name} at the host is none of the pool: ${seen}`);
    byWorker[worker % workers]!.push(pod);
  }
  await nft("delete table ip6 seen");
  const chosen = byWorker.flatMap((own) => own.slice(0, each));
  if (chosen.length < workers * each) throw new Error("the Pods are not spread over the workers");
  return chosen;
}
