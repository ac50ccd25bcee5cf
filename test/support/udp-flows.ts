/**
 * Many UDP flows at a time to an echo (udp-echo.ts). As a program, inside a network namespace:
 *   node udp-flows.js ADDRESS PORT FLOWS ROUNDS   → a Tally as JSON
 * Every flow has a socket of its own; all are open from the first datagram to the last. Each round goes once through all
 * of them, with a limited number of datagrams under way, so that no receive buffer overflows.
 */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Netns } from "./topology.ts";

const program = fileURLToPath(import.meta.url);
const underWay = 100;
const attempts = 5;

export interface Tally {
  /** Datagrams that came back to the socket that had sent them, unchanged and in their turn. */
  readonly answered: number;
  /** What came to a socket and isn't what it sent. */
  readonly foreign: number;
  /** Sent again, since no answer came within a second. */
  readonly repeated: number;
}

export async function askByFlows(
  netns: Netns,
  address: string,
  port: number,
  flows: number,
  rounds: number,
): Promise<Tally> {
  const args = [address, port, flows, rounds].map(String);
  return JSON.parse(await netns.run([process.execPath, program, ...args], { timeoutMs: 60_000 })) as Tally;
}

interface Flow {
  readonly socket: Socket;
  readonly number: number;
  /** What was sent in the current round and before. */
  readonly sent: Buffer[];
  arrived: (() => void) | undefined;
}

async function openFlow(address: string, port: number, number: number, strange: () => void): Promise<Flow> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const flow: Flow = { socket, number, sent: [], arrived: undefined };
  socket.on("error", () => {});
  socket.on("message", (message) => {
    if (flow.sent.at(-1)?.equals(message)) flow.arrived?.();
    // A second answer to what was sent twice comes late, and is no stranger.
    else if (!flow.sent.some((each) => each.equals(message))) strange();
  });
  socket.connect(port, address);
  await once(socket, "connect");
  return flow;
}

/** Sends the flow's next datagram → how often it had to, or 0 if no answer came. */
async function turn(flow: Flow, round: number): Promise<number> {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(flow.number);
  head.writeUInt32BE(round, 4);
  const datagram = Buffer.concat([head, randomBytes(1 + ((flow.number * 7 + round) % 200))]);
  flow.sent.push(datagram);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const arrived = new Promise<boolean>((resolve) => {
      const timer = setTimeout(resolve, 1000, false);
      flow.arrived = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    flow.socket.send(datagram);
    if (await arrived) return attempt;
  }
  return 0;
}

async function ask(address: string, port: number, count: number, rounds: number): Promise<Tally> {
  let [answered, foreign, repeated] = [0, 0, 0];
  const flows: Flow[] = [];
  for (let number = 0; number < count; number++)
    flows.push(await openFlow(address, port, number, () => foreign++));
  for (let round = 0; round < rounds; round++) {
    const waiting = flows.values();
    const lane = async () => {
      for (const flow of waiting) {
        const tries = await turn(flow, round);
        if (tries > 0) answered++;
        repeated += tries === 0 ? attempts : tries - 1;
      }
    };
    await Promise.all(Array.from({ length: underWay }, lane));
  }
  for (const { socket } of flows) socket.close();
  return { answered, foreign, repeated };
}

if (process.argv[1] === program) {
  const [, , address = "", ...numbers] = process.argv;
  const [port = 0, flows = 0, rounds = 0] = numbers.map(Number);
  console.log(JSON.stringify(await ask(address, port, flows, rounds)));
}
