import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { labAddresses } from "../../../src/lab/addresses.ts";
import { mustExecute } from "../../../src/lab/execute.ts";
import { buildTopology } from "../../../src/lab/topology.ts";
import { addressBytes } from "../../../test/support/packets.ts";
import type { Contender } from "./contender.ts";
import { contender } from "./kernel.ts";

const source = fileURLToPath(new URL("../../../../bench/path/contenders/ebpf.c", import.meta.url));
const nat4 = "10.244.50.7";
const pods6 = "2001:db8:7a::";

/** ebpf.c at the ingress of the gateway's interfaces; between them the kernel forwards. */
export async function ebpf(prefix: string, pods: number): Promise<Contender> {
  const topology = await buildTopology({ prefix, pods, resolver: false });
  const { gateway, internet, internal, external, folder } = topology;
  try {
    const object = `${folder}/ebpf.o`;
    await compile(object);
    const attach = async (device: string, section: string) => {
      await gateway.run(["tc", "qdisc", "add", "dev", device, "clsact"]);
      const program = ["bpf", "direct-action", "object-file", object, "section", section];
      await gateway.run(["tc", "filter", "add", "dev", device, "ingress", ...program]);
    };
    for (const device of internal) await attach(device, "tc/46");
    await attach(external, "tc/64");
    await internet.ip([`route add ${pods6}/96 via ${labAddresses.gateway.external6}`]);
  } catch (error) {
    topology.close();
    throw error;
  }
  return contender("ebpf", topology, nat4);
}

function compile(object: string): Promise<string> {
  const words = (address: string, count: number) =>
    [...new Uint32Array(addressBytes(address).slice().buffer, 0, count)].map((word) => `${word}u`).join();
  const constants = [
    `-DHOST4=${words(nat4, 1)}`,
    `-DHOST6=${words(labAddresses.web.v6only, 4)}`,
    `-DNET96=${words(pods6, 3)}`,
  ];
  // Debian keeps the kernel's <asm/…> by architecture, and clang doesn't look there for the target bpf.
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const headers = `/usr/include/${machine}-linux-gnu`;
  const more = existsSync(headers) ? ["-idirafter", headers] : [];
  return mustExecute([
    "clang",
    "-O2",
    "-target",
    "bpf",
    "-Wall",
    "-Werror",
    ...constants,
    ...more,
    "-c",
    source,
    "-o",
    object,
  ]);
}
