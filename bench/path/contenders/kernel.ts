import { labAddresses } from "../../../src/lab/addresses.ts";
import { buildTopology, type Topology } from "../../../src/lab/topology.ts";
import type { Contender } from "./contender.ts";

/** The kernel forwards IPv6 as it is: what a translator can at best come near to. */
export async function kernel6(prefix: string, pods: number): Promise<Contender> {
  const topology = await buildTopology({ prefix, pods, podIpv6: true, resolver: false });
  const via = labAddresses.gateway.external6;
  await topology.internet.ip(topology.pods.map(({ net6 }) => `route add ${net6} via ${via}`));
  return contender("kernel6", topology, labAddresses.web.v6only);
}

/** IPv4 with nf_nat: what the kernel's own source NAT costs. */
export async function masquerade4(prefix: string, pods: number): Promise<Contender> {
  const topology = await buildTopology({ prefix, pods, resolver: false });
  const rules = `table ip nat {
  chain out { type nat hook postrouting priority srcnat; oifname "${topology.external}" masquerade; }
}`;
  await topology.gateway.run(["nft", "-f", "-"], { input: rules });
  return contender("masquerade4", topology, labAddresses.web.dual4);
}

export function contender(name: string, topology: Topology, target: string): Contender {
  const { pods, internet, gateway } = topology;
  return { name, pods, internet, gateway, target, close: () => topology.close() };
}
