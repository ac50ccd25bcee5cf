import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { labAddresses } from "../../../src/lab/addresses.ts";
import { environment } from "../../../src/lab/execute.ts";
import { buildTopology } from "../../../src/lab/topology.ts";
import type { Contender } from "./contender.ts";
import { contender } from "./kernel.ts";

const nat4 = "10.244.50.7";
const pods6 = "2001:db8:7a::";

/** tayga, stateless: each Pod has an IPv6 address of its own. */
export async function tayga(prefix: string, pods: number): Promise<Contender> {
  const topology = await buildTopology({ prefix, pods, resolver: false });
  const { gateway, internet, folder } = topology;
  const file = `${folder}/tayga.conf`;
  mkdirSync(`${folder}/tayga`);
  const configuration = [
    "tun-device nat64",
    "ipv4-addr 192.0.2.1",
    `ipv6-addr ${pods6}ffff`,
    `data-dir ${folder}/tayga`,
    `map ${nat4} ${labAddresses.web.v6only}`,
    ...topology.pods.map(({ ipv4 }, index) => `map ${ipv4} ${pods6}${index + 1}`),
  ];
  writeFileSync(file, `${configuration.join("\n")}\n`);
  try {
    await gateway.run(["tayga", "--config", file, "--mktun"]);
    await gateway.ip([
      "link set nat64 up",
      `route add ${labAddresses.natSubnet} dev nat64`,
      `route add ${pods6}/64 dev nat64`,
    ]);
    await internet.ip([`route add ${pods6}/64 via ${labAddresses.gateway.external6}`]);
    const [program = "", ...args] = gateway.inside(["tayga", "--config", file, "--nodetach"]);
    const child = spawn(program, args, { env: environment, stdio: "ignore" });
    topology.cleanup.defer(() => child.kill("SIGKILL"));
  } catch (error) {
    topology.close();
    throw error;
  }
  return contender("tayga", topology, nat4);
}
