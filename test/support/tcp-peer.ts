/**
 * Both ends of a connection that shows what a proxy may break, as a program of its own:
 *   tcp-peer.js serve PORT                     on every address
 *   tcp-peer.js connect BYTES COUNT HOST:PORT… COUNT connections at once, round the hosts
 * The server speaks first (a banner with the client's address), reads until the client's FIN, and only then answers: the
 * hash of what it got, and as many bytes of its own. The client prints a JSON array of {@link PeerResult}.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";

export const peerProgram = fileURLToPath(import.meta.url);

export interface PeerResult {
  /** Whom the server saw. */
  readonly source?: string;
  /** Both hashes are right. */
  readonly intact?: boolean;
  readonly error?: string;
  /** Bytes that came at all. */
  readonly received: number;
  readonly ms: number;
}

const block = Buffer.from(
  Uint8Array.from({ length: 65536 }, (_, index) => (index * 31 + (index >> 8)) & 255),
);

async function send(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  for (let left = bytes; left > 0; ) {
    const piece = block.subarray(0, Math.min(left, block.length));
    hash.update(piece);
    left -= piece.length;
    if (!socket.write(piece)) await once(socket, "drain");
  }
  return hash.digest("hex");
}

function serve(port: number): void {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    socket.on("error", () => undefined);
    socket.write(`${socket.remoteAddress}\n`);
    const hash = createHash("sha256");
    let bytes = 0;
    try {
      for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      socket.write(`${hash.digest("hex")}\n`);
      await send(socket, bytes);
      socket.end();
    } catch {
      socket.destroy();
    }
  });
  server.listen({ port, host: "::", backlog: 4096 }, () => console.log("listening"));
}

async function talk(host: string, port: number, bytes: number): Promise<PeerResult> {
  const started = performance.now();
  let received = 0;
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.on("data", (chunk) => {
    received += chunk.length;
  });
  const done = (rest: Omit<PeerResult, "received" | "ms">) => ({
    ...rest,
    received,
    ms: Math.round(performance.now() - started),
  });
  try {
    const lines = reader(socket);
    const source = await lines.line();
    const sent = send(socket, bytes).then((hash) => {
      socket.end();
      return hash;
    });
    const [hash, answer] = [await sent, await lines.line()];
    const back = createHash("sha256");
    let count = 0;
    for await (const chunk of lines.rest()) {
      back.update(chunk);
      count += chunk.length;
    }
    return done({ source, intact: answer === hash && count === bytes && back.digest("hex") === hash });
  } catch (error) {
    return done({ error: (error as Error).message });
  } finally {
    socket.destroy();
  }
}

/** Lines, then bytes. */
function reader(socket: Socket) {
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  let buffer = Buffer.alloc(0);
  return {
    async line(): Promise<string> {
      for (;;) {
        const end = buffer.indexOf(10);
        if (end >= 0) {
          const text = buffer.subarray(0, end).toString();
          buffer = buffer.subarray(end + 1);
          return text;
        }
        const { value, done } = await chunks.next();
        if (done === true) throw new Error("it ended early");
        buffer = Buffer.concat([buffer, value]);
      }
    },
    async *rest(): AsyncGenerator<Buffer> {
      yield buffer;
      yield* chunks;
    },
  };
}

if (process.argv[1] === peerProgram) {
  const [, , verb, first = "", count = "1", ...hosts] = process.argv;
  if (verb === "serve") serve(Number(first));
  else {
    const endpoints = hosts.map((text) => /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? []);
    const results = await Promise.all(
      Array.from({ length: Number(count) }, (_, index) => {
        const [, host = "", port = ""] = endpoints[index % endpoints.length]!;
        return talk(host, Number(port), Number(first));
      }),
    );
    console.log(JSON.stringify(results));
  }
}
