/**
 * Both ends of the tests of ICMP errors, as programs of their own inside a namespace. What they print is for the test.
 *   icmp-probe.js refused ADDRESS PORT SIZE   UDP until an error comes back → its code
 *   icmp-probe.js rebuff ADDRESS PORT    server: answers the first one that sends, until an error comes back → its code
 *   icmp-probe.js upload ADDRESS PORT    TCP: a little, and after a line on standard input 1 MB → what the sink says
 *   icmp-probe.js sink ADDRESS PORT      server: says how many bytes came, and their SHA-256
 * The servers print a line when they are ready.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { isIpv4 } from "../../src/addresses.ts";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";

const program = fileURLToPath(import.meta.url);
export const uploadBytes = 1 << 20;
const firstBytes = 1 << 16;
/** What `upload` sends after the first bytes. */
export const uploadData = (): Buffer => Buffer.alloc(uploadBytes, "every byte counts; ");

export interface Probe {
  readonly child: ChildProcess;
  /** The next line that it prints; rejects when it ends before, with what it said. */
  line(): Promise<string>;
}

/** `size`: bytes of each datagram of `refused`. */
export function startProbe(netns: Netns, verb: string, address: string, port: number, size = 1): Probe {
  const [command = "", ...args] = netns.inside([
    process.execPath,
    program,
    verb,
    address,
    `${port}`,
    `${size}`,
  ]);
  const child = spawn(command, args, { env: environment, stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(child, "close");
  ended.catch(() => {});
  return {
    child,
    async line() {
      while (!output.includes("\n")) {
        const more = await Promise.race([
          once(child.stdout, "data").then(() => true),
          ended.then(() => false),
        ]);
        if (!more && !output.includes("\n")) throw new Error(`${verb}: ${log.trim() || "ended"}`);
      }
      const [first = ""] = output.split("\n");
      output = output.slice(first.length + 1);
      return first;
    },
  };
}

const say = (line: string) => console.log(line);

/** Sends until an error comes back for it. */
function sendUntilError(socket: Socket, size: number): void {
  socket.once("error", (error: NodeJS.ErrnoException) => {
    say(error.code ?? error.message);
    process.exit();
  });
  setInterval(() => socket.send(Buffer.alloc(size, "?")), 100);
  setTimeout(() => {
    say("no error came back");
    process.exit();
  }, 5000);
}

const verbs: Readonly<Record<string, (address: string, port: number, size: number) => void>> = {
  refused(address, port, size) {
    const socket = createSocket(isIpv4(address) ? "udp4" : "udp6");
    socket.connect(port, address, () => sendUntilError(socket, size));
  },
  rebuff(address, port) {
    const socket = createSocket(isIpv4(address) ? "udp4" : "udp6");
    socket.once("message", (_, sender) =>
      socket.connect(sender.port, sender.address, () => sendUntilError(socket, 1)),
    );
    socket.bind(port, address, () => say("ready"));
  },
  upload(address, port) {
    const socket = connect(port, address, () => socket.write(Buffer.alloc(firstBytes), () => say("open")));
    process.stdin.once("data", () => socket.end(uploadData()));
    socket.setEncoding("utf8").once("data", (text) => {
      say(`${text}`);
      process.exit();
    });
    socket.on("error", (error) => {
      console.error(error.message);
      process.exit(1);
    });
  },
  sink(address, port) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const hash = createHash("sha256");
      let count = 0;
      socket.on("data", (chunk: Buffer) => {
        const skipped = Math.min(chunk.length, Math.max(0, firstBytes - count));
        hash.update(chunk.subarray(skipped));
        count += chunk.length;
      });
      socket.on("end", () => socket.end(`${count - firstBytes} ${hash.digest("hex")}`));
      socket.on("error", () => {});
    });
    server.listen(port, address, () => say("ready"));
  },
};

if (process.argv[1] === program) {
  const [, , verb = "", address = "", port, size] = process.argv;
  verbs[verb]?.(address, Number(port), Number(size));
}
