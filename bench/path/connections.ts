/** CPU a TCP connection that is made and closed at once, at a fixed rate. */
import { interleave, type Part } from "../part.ts";
import { addSample } from "../results.ts";
import { type Agent, startAgent } from "./agent.ts";
import type { Connected } from "./agents/protocol.ts";
import { type Contender, gatewayProcesses } from "./contenders/contender.ts";
import { cpuKinds, cpuTitles, cpuUse, readCpuTime } from "./cpu-time.ts";
import { checkIntegrity } from "./integrity.ts";
import { withContenders } from "./worlds.ts";

const rate = 1000;
const port = 7001;
export const connections: Part = (context) =>
  withContenders(
    context,
    ["direct", "egress46", "kernel6", "ebpf", "masquerade4"],
    [],
    async (contenders) => {
      const { results, mode } = context;
      const servers = new Map<Contender, Agent>();
      let bare = Number.NaN;
      const add = (kind: string, title: string, name: string, value: number) => {
        const head = { id: `connections.${kind}`, title: `CPU a new TCP connection: ${title}`, unit: "µs" };
        addSample(results, head, name, value);
      };
      for (const each of contenders)
        servers.set(each, await startAgent(each.internet, "accept", [String(port)]));
      await interleave(context, contenders, async (contender, round) => {
        const { name } = contender;
        const { seconds } = mode;
        // In turn, so that the ports of one Pod last.
        const pod = contender.pods[round % contender.pods.length]!;
        // A connection that is over leaves nothing behind in the Pod: searching for a free port costs the same each time.
        await pod.sysctl({ "ipv4/tcp_max_tw_buckets": 0, "ipv4/ip_local_port_range": "1024 65535" });
        const settings = ["--rate", String(rate), "--seconds", String(seconds)];
        const client = await startAgent(pod, "connect", [contender.target, String(port), ...settings]);
        try {
          const generators = [client.pid, servers.get(contender)!.pid];
          const gateway = await gatewayProcesses(contender);
          const before = readCpuTime();
          const done = await client.ask<Connected>(seconds + 20);
          const use = cpuUse(before, readCpuTime(), gateway, generators);
          await checkIntegrity(context, contender);
          if (done.failures > 0) results.errors.push(`${name}: ${done.failures} connections failed`);
          for (const kind of cpuKinds) add(kind, cpuTitles[kind], name, use[kind] / done.connections);
          const besides = { id: "connections.besides", title: "(the machine besides)", unit: "%" };
          addSample(results, besides, name, use.besides * 100);
          // What the gateway adds; the round's first contender is the one without.
          const all = use.all / done.connections;
          if (name === "direct") bare = all;
          else
            add(
              "added",
              "with kernel threads and generators, less the same over a direct link",
              name,
              all - bare,
            );
          const reached = (done.connections / done.seconds).toFixed(0);
          return `${all.toFixed(0)} µs a connection, ${(all - bare).toFixed(0)} more than direct, ${reached}/s`;
        } finally {
          await client.end();
        }
      });
      for (const server of servers.values()) await server.end();
    },
  );
