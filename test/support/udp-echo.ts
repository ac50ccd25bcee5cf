/**
 * Datagrams of any size there and back. As a program, inside a network namespace:
 *   node udp-echo.js serve ADDRESS PORT           until it is killed
 *   node udp-echo.js ask ADDRESS PORT SIZE COUNT  one after the other; prints how many came back unchanged
 *   node udp-echo.js keep ADDRESS PORT            five a second from one socket; prints a dot for each that comes back
 */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../../src/lab/cleanup.ts";
import type { Netns } from "./topology.ts";

const program = fileURLToPath(import.meta.url);

/** Resolves once it listens. */
export async function serveEcho(
  netns: Netns,
  cleanup: Cleanup,
  address: string,
  port: number,
): Promise<void> {
  const [command = "", ...args] = netns.inside([process.execPath, program, "serve", address, String(port)]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  cleanup.defer(() => child.kill("SIGKILL"));
  await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) });
}

/** Each is tried up to five times: the first ones may be what path MTU discovery costs. */
export async function askEcho(
  netns: Netns,
  address: string,
  port: number,
  size: number,
  count: number,
): Promise<number> {
  const args = ["ask", address, port, size, count].map(String);
  return Number(await netns.run([process.execPath, program, ...args], { timeoutMs: 60_000 }));
}

/** One flow that is never idle, until the lab ends. */
export function keepAsking(
  netns: Netns,
  cleanup: Cleanup,
  address: string,
  port: number,
): { answers(): number } {
  const [command = "", ...args] = netns.inside([process.execPath, program, "keep", address, String(port)]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  cleanup.defer(() => child.kill("SIGKILL"));
  let answers = 0;
  child.stdout.on("data", (dots: Buffer) => {
    answers += dots.length;
  });
  return { answers: () => answers };
}

const socketFor = (address: string) => createSocket(address.includes(":") ? "udp6" : "udp4");

function serve(address: string, port: number): void {
  const socket = socketFor(address);
  socket.on("message", (message, { address: to, port: toPort }) => socket.send(message, toPort, to));
  socket.bind(port, address, () => console.log("ready"));
}

async function ask(address: string, port: number, size: number, count: number): Promise<number> {
  const socket = socketFor(address);
  // An ICMP error reported to the socket is no reason to give up.
  socket.on("error", () => {});
  socket.connect(port, address);
  await once(socket, "connect");
  let good = 0;
  for (let i = 0; i < count; i++) {
    const sent = Buffer.from(Array.from({ length: size }, (_, index) => index * 31 + i + (index >> 8)));
    for (let attempt = 0; attempt < 5; attempt++) {
      socket.send(sent, () => {});
      const answer = once(socket, "message", { signal: AbortSignal.timeout(1000) });
      const [received] = await answer.catch(() => [undefined]);
      if (received === undefined || !sent.equals(received as Buffer)) continue;
      good++;
      break;
    }
  }
  socket.close();
  return good;
}

function keep(address: string, port: number): void {
  const socket = socketFor(address);
  socket.on("message", () => process.stdout.write("."));
  socket.on("error", () => {});
  socket.connect(port, address, () => setInterval(() => socket.send("?"), 200));
}

if (process.argv[1] === program) {
  const [, , verb, address = "", port, size, count] = process.argv;
  if (verb === "serve") serve(address, Number(port));
  else if (verb === "keep") keep(address, Number(port));
  else console.log(await ask(address, Number(port), Number(size), Number(count)));
}
