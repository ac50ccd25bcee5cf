/** What the filter costs inside Envoy, against the same redirect by a static set_filter_state in the same process. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { labAddresses } from "../../src/lab/addresses.ts";
import { lacking } from "../../src/lab/prerequisites.ts";
import type { Context, Part } from "../part.ts";
import { startAgent } from "../path/agent.ts";
import type { Connected } from "../path/agents/protocol.ts";
import { addSample, median } from "../results.ts";
import { spread } from "./spread.ts";
import { envoyWorld, nat4, ports, type World } from "./world.ts";

const rate = 1500;
const kinds = ["filter", "static"] as const;

export const envoy: Part = async (context) => {
  await spread(context);
  const tools = ["ip", "nft", "curl", "iperf3", "taskset", "pip3"];
  const [missing] = lacking(tools.map((command) => ({ command, debianPackage: command })));
  if (missing !== undefined) {
    context.results.notRun.push({ what: "envoy", reason: `the command ${missing.command} is missing` });
    return;
  }
  const world = await envoyWorld();
  try {
    const running = await world.startEnvoy();
    await cost(context, world, running.pid);
    await throughput(context, world);
    await news(context, world);
  } finally {
    world.topology.close();
  }
};

/** Nanoseconds on a processor, of all threads. */
function busyNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]),
    0,
  );
}

function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** Slices of a second in turn; the ratio of each pair of neighbours. */
async function cost({ mode, results, say }: Context, { topology }: World, pid: number): Promise<void> {
  const { gateway, internet, pods } = topology;
  const [pod] = pods;
  await gateway.sysctl({ "ipv4/tcp_max_tw_buckets": 0 });
  await pod.sysctl({ "ipv4/tcp_max_tw_buckets": 0, "ipv4/ip_local_port_range": '"1024 65535"' });
  const servers = await Promise.all(
    kinds.map((kind) => startAgent(internet, "accept", [String(ports[kind])])),
  );
  const clients = await Promise.all(
    kinds.map((kind) =>
      startAgent(pod, "connect", [nat4, String(ports[kind]), "--rate", String(rate), "--seconds", "1"]),
    ),
  );
  const ratios: number[] = [];
  let connections = 0;
  try {
    // The first slices warm up.
    for (let slice = -1; slice < mode.rounds * mode.seconds; slice++) {
      const each: number[] = [];
      // In turn, who is first: whatever the first of a pair has to bear meets both.
      for (const index of slice % 2 === 0 ? [0, 1] : [1, 0]) {
        const kind = kinds[index]!;
        const before = busyNs(pid);
        const done = await clients[index]!.ask<Connected>(20);
        const us = (busyNs(pid) - before) / 1000 / done.connections;
        connections += done.connections;
        if (done.failures > 0) results.errors.push(`envoy: ${kind}: ${done.failures} connections failed`);
        each[index] = us;
        const head = { id: "envoy.cpu", title: "Envoy's CPU a new connection", unit: "µs" };
        if (slice >= 0) addSample(results, head, kind, us);
      }
      if (slice >= 0) ratios.push(each[0]! / each[1]!);
      if (slice === -1) say(`  resident after the first slices: ${residentMiB(pid).toFixed(1)} MiB`);
    }
  } finally {
    for (const agent of [...clients, ...servers]) await agent.end();
  }
  results.notes.push(
    `envoy: CPU a connection, median over ${ratios.length} pairs of neighbouring 1 s slices: ${median(ratios).toFixed(3)} of the static redirect's; resident after ${connections} connections: ${residentMiB(pid).toFixed(1)} MiB`,
  );
  say(`  ${results.notes.at(-1)}`);
}

async function throughput({ mode, results, say }: Context, { topology }: World): Promise<void> {
  const { internet, pods } = topology;
  const head = { id: "envoy.throughput", title: "one TCP stream through Envoy", unit: "Gbit/s" };
  for (const kind of kinds)
    await internet.run(["sh", "-c", `iperf3 -s -D -p ${ports[kind]} -B ${labAddresses.web.v6only}`]);
  await sleep(300);
  for (let round = 0; round < mode.rounds; round++)
    for (const kind of kinds) {
      const argv = ["iperf3", "-J", "-c", nat4, "-p", String(ports[kind]), "-t", String(mode.seconds)];
      const { end } = JSON.parse(await pods[0].run(argv, { timeoutMs: 60_000 }));
      addSample(results, head, kind, end.sum_received.bits_per_second / 1e9);
    }
  const series = results.series.find(({ id }) => id === head.id)!.samples;
  say(`  ${kinds.map((kind) => `${kind} ${median(series[kind]!).toFixed(2)} Gbit/s`).join(", ")}`);
}

/** How old a mapping is when an Envoy that didn't know it has it. */
async function news({ results, say }: Context, { topology, mapping }: World): Promise<void> {
  const server = await startAgent(topology.internet, "accept", ["7009"]);
  try {
    const nat = "10.244.50.99";
    await mapping("add", nat, labAddresses.web.v6only);
    const started = performance.now();
    const client = await startAgent(topology.pods[0], "connect", [
      nat,
      "7009",
      "--rate",
      "50",
      "--seconds",
      "1",
    ]);
    const { failures } = await client.ask<Connected>(10);
    await client.end();
    say(
      `  a mapping right after it was stored: ${failures} connections failed in ${(performance.now() - started).toFixed(0)} ms`,
    );
    if (failures > 0) results.errors.push(`envoy: ${failures} connections to a new mapping failed`);
  } finally {
    await server.end();
  }
}
