/** A Pod, a gateway with Envoy as its data plane, an internet; beside the filter's listener one that decides statically. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { clusterName } from "../../src/envoy/clusters.ts";
import { labAddresses } from "../../src/lab/addresses.ts";
import { environment } from "../../src/lab/execute.ts";
import { egress46 as command, gatewayCommand, startGateway } from "../../src/lab/gateway.ts";
import { buildTopology, type Topology } from "../../src/lab/topology.ts";
import { envoyProgram } from "../../test/support/envoy.ts";
import { writeResources } from "../../test/support/topology.ts";
import { benchResources } from "../resources.ts";

const { snatPool, web } = labAddresses;
export const nat4 = "10.244.50.7";
/** Connections to the host's `port` meet the filter, to the next one the static listener. */
export const ports = { filter: 7001, static: 7002 } as const;
const staticListener = 15002;

export interface World {
  readonly topology: Topology;
  readonly store: string;
  readonly dir: string;
  /** Starts an Envoy pinned to one core; resolves once it is live, with how long that took. */
  startEnvoy(
    config?: string,
  ): Promise<{ readonly pid: number; readonly liveMs: number; stop(): Promise<void> }>;
  mapping(...args: string[]): Promise<string>;
}

export async function envoyWorld(
  addresses: readonly (readonly string[])[] = [[snatPool.ipv6[0], snatPool.ipv4[0]]],
): Promise<World> {
  const program = await envoyProgram();
  const topology = await buildTopology({ prefix: "eg46bench", resolver: false });
  const dir = `${topology.folder}/envoy`;
  const store = `lmdb:${topology.folder}/mappings`;
  const mapping = (...args: string[]) =>
    topology.gateway.run([...command, "mappings", ...args, "--store", store]);
  const files = writeResources(topology, { "all.yaml": benchResources({ lists: addresses }) });
  try {
    const args = ["--data-plane", "envoy", "--envoy-dir", dir];
    await startGateway(topology, gatewayCommand(topology, { files: [files], store, args }));
    await mapping("add", nat4, web.v6only);
    writeFileSync(`${dir}/bench.yaml`, stringify(withStaticListener(dir)));
    const rule = `insert rule inet egress46 divert iifname internal0 tcp dport ${ports.static} redirect to :${staticListener}`;
    await topology.gateway.run(["nft", rule]);
  } catch (error) {
    topology.close();
    throw error;
  }

  async function startEnvoy(config = "bench.yaml") {
    const argv = ["taskset", "-c", "0", program, "-c", `${dir}/${config}`, "--concurrency", "1"];
    const base = ["--base-id", String(process.pid), "--log-level", "warning"];
    const [first = "", ...rest] = topology.gateway.inside([...argv, ...base]);
    const started = performance.now();
    const child: ChildProcess = spawn(first, rest, { env: environment, stdio: "ignore" });
    topology.cleanup.defer(() => child.kill("SIGKILL"));
    const ready = ["curl", "-sS", "--max-time", "1", "http://127.0.0.1:9901/ready"];
    while (!(await topology.gateway.execute(ready)).stdout.startsWith("LIVE")) {
      if (child.exitCode !== null) throw new Error(`Envoy ended: ${child.exitCode}`);
      await sleep(10);
    }
    return {
      pid: child.pid!,
      liveMs: performance.now() - started,
      async stop() {
        child.kill("SIGKILL");
        await sleep(200);
      },
    };
  }

  return { topology, store, dir, startEnvoy, mapping };
}

/** The same listener with Envoy's own set_filter_state in the filter's place. */
function withStaticListener(dir: string): object {
  const bootstrap = parse(readFileSync(`${dir}/envoy.yaml`, "utf8"));
  const { resources } = parse(readFileSync(`${dir}/listeners.yaml`, "utf8"));
  const { "@type": _, ...listener } = resources[0];
  const value = (object_key: string, inline_string: string) => ({
    object_key,
    format_string: { text_format_source: { inline_string } },
  });
  const [{ filters }] = listener.filter_chains;
  bootstrap.static_resources.listeners = [
    {
      ...listener,
      name: "static",
      address: { socket_address: { address: "0.0.0.0", port_value: staticListener } },
      filter_chains: [
        {
          filters: [
            {
              name: "envoy.filters.network.set_filter_state",
              typed_config: {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.set_filter_state.v3.Config",
                on_new_connection: [
                  value(
                    "envoy.network.transport_socket.original_dst_address",
                    `[${web.v6only}]:${ports.static}`,
                  ),
                  value("envoy.tcp_proxy.cluster", clusterName(snatPool.ipv6[0])),
                ],
              },
            },
            ...filters.slice(1),
          ],
        },
      ],
    },
  ];
  return bootstrap;
}
