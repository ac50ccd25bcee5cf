import type { Context } from "../part.ts";
import { startAgent } from "./agent.ts";
import type { Received, Sent } from "./agents/protocol.ts";
import { type Contender, gatewayProcesses } from "./contenders/contender.ts";
import { type CpuUse, cpuUse, readCpuTime } from "./cpu-time.ts";
import { checkDatagrams, checkIntegrity } from "./integrity.ts";

/** How 64-byte datagrams follow each other. */
export interface Pattern {
  readonly id: "burst" | "mixed";
  readonly title: string;
  readonly flows: number;
}

export const patterns: readonly Pattern[] = [
  { id: "burst", title: "one flow in bursts", flows: 1 },
  { id: "mixed", title: "1,000 flows interleaved", flows: 1000 },
];

export interface DatagramRun {
  readonly sent: Sent;
  readonly received: Received;
  /** While the sender ran. */
  readonly cpu: CpuUse;
}

const port = 7000;

/** Sends from the first Pod to the host, `rate` packets/s or (0) as fast as it goes, and checks what arrives. */
export async function sendDatagrams(
  context: Context,
  contender: Contender,
  pattern: Pattern,
  rate: number,
): Promise<DatagramRun> {
  const { seconds } = context.mode;
  const flows = ["--flows", String(pattern.flows)];
  const receiver = await startAgent(contender.internet, "udp-receive", [String(port), ...flows]);
  const settings = ["--rate", String(rate), "--seconds", String(seconds)];
  const sender = await startAgent(contender.pods[0]!, "udp-send", [
    contender.target,
    String(port),
    ...flows,
    ...settings,
  ]);
  try {
    const generators = [sender.pid, receiver.pid];
    const gateway = await gatewayProcesses(contender);
    const before = readCpuTime();
    const sent = await sender.ask<Sent>(seconds + 10);
    const cpu = cpuUse(before, readCpuTime(), gateway, generators);
    const received = await receiver.ask<Received>(10);
    checkDatagrams(context, `${contender.name}, ${pattern.title}`, received);
    await checkIntegrity(context, contender);
    return { sent, received, cpu };
  } finally {
    await sender.end();
    await receiver.end();
  }
}
