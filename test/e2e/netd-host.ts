/**
 * Two programs for netd.test.ts. With options as its argument it is netd itself, running in the current network
 * namespace; started by that netd it is a small real gateway: it sends the plan out of its first -f FILE (JSON), reads
 * the TUN, serves DNS, and writes what it sees as JSON lines to FILE.log. A line in FILE.echo, if there, is a packet
 * (hex, with its virtio header) that it writes to the TUN; FILE.die makes it die at its start.
 */
import dgram from "node:dgram";
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { receiveDescriptors } from "../../src/dataplane/descriptor-passing.ts";
import { addressOf, read, write } from "../../src/dataplane/syscalls.ts";
import { explain } from "../../src/errors.ts";
import { createLogger } from "../../src/log.ts";
import { runNetd } from "../../src/netd/main.ts";
import type { DnsSocket, HostFacts, NetworkPlan, ToGateway, ToNetd } from "../../src/netd/protocol.ts";

const argument = process.argv[2];
if (argument !== undefined) await beNetd(argument);
else beGateway();

async function beNetd(json: string): Promise<void> {
  try {
    const options = JSON.parse(json) as Parameters<typeof runNetd>[0];
    process.exit(
      await runNetd({ ...options, gatewayMain: fileURLToPath(import.meta.url) }, createLogger("debug")),
    );
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

function beGateway(): void {
  const tell = (message: ToNetd) => process.send?.(message);
  let file = "";
  let facts: HostFacts;
  let listeners: { close(): void }[] = [];
  const note = (entry: object) => appendFileSync(`${file}.log`, `${JSON.stringify(entry)}\n`);

  function readPlan(): NetworkPlan {
    return JSON.parse(readFileSync(file, "utf8")) as NetworkPlan;
  }

  function serve(sockets: readonly DnsSocket[]): void {
    const descriptors = sockets.length === 0 ? [] : receiveDescriptors(facts.descriptorChannel);
    const before = listeners;
    listeners = sockets.map((socket, index) => listener(socket, descriptors[index]!));
    for (const old of before) old.close();
  }

  function listener(socket: DnsSocket, fd: number): { close(): void } {
    if (socket.transport === "tcp")
      return net
        .createServer((connection) => {
          note({ tcp: `${connection.localAddress} ${connection.localPort}`, from: connection.remoteAddress });
          connection.end(`tcp ${connection.localAddress}\n`);
        })
        .listen({ fd });
    const udp = dgram.createSocket(socket.family === 4 ? "udp4" : "udp6");
    udp.on("message", (_, from) => udp.send(`udp ${socket.address}\n`, from.port, from.address));
    udp.bind({ fd });
    return udp;
  }

  function pump(tun: HostFacts["tuns"][number]): void {
    const packet = Buffer.alloc(70_000);
    for (
      let n = read(tun.fd, addressOf(packet), packet.length);
      n > 0;
      n = read(tun.fd, addressOf(packet), packet.length)
    )
      note({ tun: tun.name, packet: packet.toString("hex", 0, n) });
    if (existsSync(`${file}.echo`)) {
      const out = Buffer.from(readFileSync(`${file}.echo`, "utf8").trim(), "hex");
      rmSync(`${file}.echo`);
      note({ wrote: write(tun.fd, addressOf(out), out.length) });
    }
  }

  process.on("disconnect", () => process.exit(0));
  process.on("message", (message: ToGateway) => {
    if (message.type === "start") {
      facts = message.facts;
      file = message.options.files[0]!;
      if (existsSync(`${file}.die`)) {
        tell({ type: "phase", phase: readFileSync(`${file}.die`, "utf8") });
        rmSync(`${file}.die`);
        process.kill(process.pid, "SIGKILL");
      }
      note({ start: facts, uid: process.getuid?.(), status: readFileSync("/proc/self/status", "utf8") });
      tell({ type: "plan", id: 1, plan: readPlan() });
      let planText = readFileSync(file, "utf8");
      let id = 1;
      setInterval(() => {
        for (const tun of facts.tuns) pump(tun);
        const text = readFileSync(file, "utf8");
        if (text === planText || text === "") return;
        planText = text;
        tell({ type: "plan", id: ++id, plan: JSON.parse(text) as NetworkPlan });
      }, 20);
    } else if (message.type === "ping") tell({ type: "pong" });
    else if (message.type === "facts") note({ facts: message.facts });
    else if (message.type === "dns-sockets") serve(message.sockets);
    else if (message.type === "planned") {
      note({ planned: message.id, error: message.error });
      if (message.error !== undefined && message.id === 1) tell({ type: "fatal", text: message.error });
      else if (message.id === 1) tell({ type: "ready", line: "egress46 ready (test)" });
    } else if (message.type === "stop") process.exit(0);
  });
}
