/**
 * Many bytes over one TCP connection, summed at both ends. As a program, inside a network namespace:
 *   node bulk.js serve PORT                      until it is killed
 *   node bulk.js transfer ADDRESS PORT MIB       to the server, then from it → a Transfer as JSON
 * Bytes differ from block to block, so that one lost, doubled or out of place changes the sum.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "../../src/lab/cleanup.ts";
import type { Netns } from "./topology.ts";

const program = fileURLToPath(import.meta.url);
const mib = 1 << 20;

/** What one end counted: bytes, and their SHA-256. */
export interface Sum {
  readonly bytes: number;
  readonly sha256: string;
}
/** Each way: what was sent, and what was received. */
export type Transfer = Readonly<Record<"up" | "down", { readonly sent: Sum; readonly received: Sum }>>;

/** On every address. Resolves once it listens. */
export async function serveBulk(netns: Netns, cleanup: Cleanup, port: number): Promise<void> {
  const [command = "", ...args] = netns.inside([process.execPath, program, "serve", String(port)]);
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  cleanup.defer(() => child.kill("SIGKILL"));
  await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) });
}

/** Rejects when it takes longer than `timeoutMs`, as it does where a path swallows large packets. */
export async function transferBulk(
  netns: Netns,
  address: string,
  port: number,
  mebibytes: number,
  timeoutMs: number,
): Promise<Transfer> {
  const argv = [process.execPath, program, "transfer", address, String(port), String(mebibytes)];
  return JSON.parse(await netns.run(argv, { timeoutMs })) as Transfer;
}

/** Writes `count` blocks that are all different. */
async function send(socket: Socket, count: number): Promise<Sum> {
  const hash = createHash("sha256");
  const random = randomBytes(mib);
  for (let i = 0; i < count; i++) {
    const block = Buffer.from(random);
    block.writeUInt32BE(i);
    hash.update(block);
    if (!socket.write(block)) await once(socket, "drain");
  }
  return { bytes: count * mib, sha256: hash.digest("hex") };
}

/** Until the end of the stream; what follows the first `count` bytes is text. */
async function receive(
  socket: Socket,
  count = Number.POSITIVE_INFINITY,
): Promise<{ sum: Sum; text: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    const data = (chunk as Buffer).subarray(0, count - bytes);
    hash.update(data);
    bytes += data.length;
    text += (chunk as Buffer).toString("latin1", data.length);
  }
  return { sum: { bytes, sha256: hash.digest("hex") }, text };
}

/** A connection begins with eight bytes: how many blocks the client wants; 0 = it sends. */
function serve(port: number): void {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    try {
      while (socket.readableLength < 8) await once(socket, "readable");
      const wanted = Number((socket.read(8) as Buffer).readBigUInt64BE());
      const sum = wanted === 0 ? (await receive(socket)).sum : await send(socket, wanted);
      socket.end(JSON.stringify(sum));
    } catch (error) {
      console.error(String(error));
      socket.destroy();
    }
  });
  server.listen(port, "::", () => console.log("ready"));
}

async function dial(address: string, port: number, wanted: number): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true });
  await once(socket, "connect");
  const request = Buffer.alloc(8);
  request.writeBigUInt64BE(BigInt(wanted));
  socket.write(request);
  return socket;
}

async function transfer(address: string, port: number, blocks: number): Promise<Transfer> {
  const upload = await dial(address, port, 0);
  const sent = await send(upload, blocks);
  upload.end();
  const { text: told } = await receive(upload, 0);
  const download = await dial(address, port, blocks);
  const { sum, text } = await receive(download, blocks * mib);
  download.end();
  return { up: { sent, received: JSON.parse(told) }, down: { sent: JSON.parse(text), received: sum } };
}

if (process.argv[1] === program) {
  const [, , verb, ...rest] = process.argv;
  const [address = "", port, blocks] = rest;
  if (verb === "serve") serve(Number(rest[0]));
  else console.log(JSON.stringify(await transfer(address, Number(port), Number(blocks))));
}
