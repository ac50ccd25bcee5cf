/** Mutated DNS messages to a proxy in a process of its own, over UDP and TCP, each answer judged. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createFrameReader, frame } from "../../src/dns/framing.ts";
import { rcodeName } from "../../src/dns/message.ts";
import { startDnsServer } from "../../src/lab/dns-server.ts";
import { answerFromZone, type Zone } from "../../src/lab/dns-zone.ts";
import { type Due, due, mutant } from "./dns-mutants.ts";
import { testZone } from "./dns-names.ts";
import type { ProxyReport } from "./dns-proxy-main.ts";
import { seededRandom } from "./hostile-packets.ts";

type Random = (below: number) => number;

export interface StormReport {
  readonly seconds: number;
  readonly sent: Readonly<Record<"udp" | "tcp", number>>;
  readonly connections: number;
  /** Answers by what was due. */
  readonly answers: Readonly<Record<Due, number>>;
  /** Answers that were not right, the first of them. */
  readonly wrong: readonly string[];
  /** Datagrams sent again, since no answer had come: the kernel's buffers are finite. */
  readonly resent: number;
  readonly before: ProxyReport;
  readonly after: ProxyReport;
}

const program = fileURLToPath(new URL("./dns-proxy-main.js", import.meta.url));
const warmUp = 2000;
const udpWindow = 128;
const tcpLanes = 16;
/** Connections that are left with a message half sent. */
const halfOpen = 64;
const patienceMs = 4000;

/** Without the names on which the upstream stays silent or late: they would make the storm long, not worse. */
const zone: Zone = {
  ...testZone,
  names: Object.fromEntries(
    Object.entries(testZone.names).filter(
      ([, { behaviour, delayMs }]) => behaviour === undefined && !delayMs,
    ),
  ),
};
const names = [
  ...Object.keys(zone.names),
  "nosuch.example",
  "1.0.46.10.in-addr.arpa",
  "9.9.9.9.in-addr.arpa",
  ".",
];

export async function storm({ seed, messages }: { seed: number; messages: number }): Promise<StormReport> {
  const upstream = await startDnsServer({ address: "127.0.0.1", zone });
  const proxy = spawn(process.execPath, ["--expose-gc", program, String(upstream.port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: proxy.stdout });
  const nextLine = async () => ((await once(lines, "line")) as [string])[0];
  const report = async (): Promise<ProxyReport> => {
    const line = nextLine();
    proxy.stdin.write("\n");
    return JSON.parse(await line);
  };
  try {
    const port = Number(await nextLine());
    const run = createRun(seededRandom(seed), port);
    await run.udp(warmUp);
    await run.tcp(warmUp / 4);
    const before = await report();
    const startedAt = performance.now();
    const overTcp = Math.floor(messages / 5);
    await Promise.all([run.udp(messages - overTcp), run.tcp(overTcp)]);
    const seconds = (performance.now() - startedAt) / 1000;
    // What was left half sent is closed by the proxy by now, or by us.
    run.close();
    await sleep(500);
    return { seconds, ...run.totals(), before, after: await report() };
  } finally {
    proxy.stdin.end();
    if (proxy.exitCode === null) await once(proxy, "exit");
    await upstream.close();
  }
}

function createRun(random: Random, port: number) {
  const sent = { udp: 0, tcp: 0 };
  const answers: Record<Due, number> = { silence: 0, answer: 0, FORMERR: 0, NOTIMP: 0, BADVERS: 0 };
  const wrong: string[] = [];
  let resent = 0;
  let connections = 0;
  let nextId = 0;
  const left = new Set<Socket>();

  function message(): { bytes: Buffer; wanted: Due } {
    const bytes = mutant(random, names);
    nextId = (nextId + 1) & 0xffff;
    if (bytes.length >= 2) bytes.writeUInt16BE(nextId, 0);
    return { bytes, wanted: due(bytes) };
  }

  function look(asked: { bytes: Buffer; wanted: Due }, reply: Buffer, transport: "udp" | "tcp"): void {
    answers[asked.wanted]++;
    try {
      judge(asked.bytes, asked.wanted, reply, transport);
    } catch (error) {
      if (wrong.length < 10) wrong.push(String((error as Error).message));
    }
  }

  /** Once as many datagrams have been answered, or were due to silence. */
  async function udp(count: number): Promise<void> {
    const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
    const waiting = new Map<number, { bytes: Buffer; wanted: Due; at: number }>();
    let room: (() => void) | undefined;
    socket.on("message", (reply) => {
      const asked = waiting.get(reply.readUInt16BE(0));
      // A second answer to what was sent twice.
      if (asked === undefined) return;
      waiting.delete(reply.readUInt16BE(0));
      look(asked, reply, "udp");
      room?.();
    });
    await once(socket.bind(0, "127.0.0.1"), "listening");
    const again = setInterval(() => {
      for (const entry of waiting.values())
        if (performance.now() - entry.at > patienceMs) {
          entry.at = performance.now();
          resent++;
          socket.send(entry.bytes, port, "127.0.0.1");
        }
    }, 500);
    for (let index = 0; index < count; index++) {
      const { bytes, wanted } = message();
      sent.udp++;
      if (wanted === "silence") answers.silence++;
      else {
        while (waiting.size >= udpWindow || waiting.has(bytes.readUInt16BE(0)))
          await new Promise<void>((resolve) => {
            room = resolve;
          });
        waiting.set(bytes.readUInt16BE(0), { bytes, wanted, at: performance.now() });
      }
      await new Promise<void>((resolve) => socket.send(bytes, port, "127.0.0.1", () => resolve()));
    }
    for (let waited = 0; waiting.size > 0; waited++) {
      assert.ok(waited < 300, `${waiting.size} datagrams without an answer, such as ${first(waiting)}`);
      await sleep(100);
    }
    clearInterval(again);
    socket.close();
  }

  async function tcp(count: number): Promise<void> {
    let remaining = count;
    await Promise.all(
      Array.from({ length: tcpLanes }, async () => {
        while (remaining > 0) {
          const batch = Math.min(remaining, 1 + random(12));
          remaining -= batch;
          await connection(batch);
        }
      }),
    );
  }

  async function connection(count: number): Promise<void> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const waiting = new Map<number, { bytes: Buffer; wanted: Due }>();
    const reader = createFrameReader();
    let closed = false;
    let change: (() => void) | undefined;
    connections++;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      closed = true;
      change?.();
    });
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let reply = reader.next(); reply !== undefined; reply = reader.next()) {
        const id = Buffer.from(reply).readUInt16BE(0);
        const asked = waiting.get(id);
        waiting.delete(id);
        if (asked === undefined)
          wrong.push(`an answer to nothing that was asked: ${Buffer.from(reply).toString("hex")}`);
        else look(asked, Buffer.from(reply), "tcp");
      }
      change?.();
    });
    const until = async (done: () => boolean, what: string) => {
      const limit = performance.now() + 30_000;
      while (!done()) {
        assert.ok(
          performance.now() < limit,
          `${what}: ${waiting.size} without an answer, such as ${first(waiting)}`,
        );
        await Promise.race([new Promise<void>((resolve) => (change = resolve)), sleep(200)]);
      }
    };

    const parts: Buffer[] = [];
    // Shorter ones end the connection, which is told below.
    while (parts.length < count) {
      const { bytes, wanted } = message();
      if (bytes.length < 12) continue;
      sent.tcp++;
      if (wanted === "silence") answers.silence++;
      else waiting.set(bytes.readUInt16BE(0), { bytes, wanted });
      parts.push(Buffer.from(frame(bytes)));
    }
    const stream = Buffer.concat(parts);
    const manner = random(8);
    if (manner === 0) for (const byte of stream.subarray(0, 300)) await write(socket, Buffer.of(byte));
    if (manner === 0) await write(socket, stream.subarray(300));
    else if (manner === 1) for (let at = 0; at < stream.length; ) at += await piece(socket, stream, at);
    else await write(socket, stream);
    await until(() => waiting.size === 0 || closed, "TCP");
    assert.equal(waiting.size, 0, "the proxy closed the connection before it had answered");

    if (manner === 2) {
      // A length that is never filled, then our end of the connection closes.
      socket.end(Buffer.concat([Buffer.of(0xff, 0xff), Buffer.alloc(random(200), random(256))]));
      await until(() => closed, "an oversized length");
    } else if (manner === 3) {
      socket.write(frame(Buffer.alloc(random(12))));
      await until(() => closed, "a message shorter than a header");
    } else if (manner === 4) {
      socket.end();
      await until(() => closed, "our end closed");
    } else if (manner === 5 && left.size < halfOpen) {
      socket.write(Buffer.concat([Buffer.of(1, 0), Buffer.alloc(random(200))]));
      left.add(socket);
      socket.on("close", () => left.delete(socket));
      return;
    }
    // No TIME-WAIT: ports are as finite as buffers.
    socket.resetAndDestroy();
  }

  return {
    udp,
    tcp,
    close() {
      for (const socket of left) socket.destroy();
    },
    totals: () => ({ sent: { ...sent }, connections, answers: { ...answers }, wrong, resent }),
  };
}

function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()));
}

async function piece(socket: Socket, stream: Buffer, at: number): Promise<number> {
  const size = 1 + ((at * 7) % 37);
  await write(socket, stream.subarray(at, at + size));
  return size;
}

function first(waiting: ReadonlyMap<number, { bytes: Buffer; wanted: Due }>): string {
  const [entry] = waiting.values();
  return entry === undefined ? "none" : `${entry.bytes.toString("hex")} (${entry.wanted})`;
}

/** ID, QR and opcode, and the RCODE. An echo of our own question (SERVFAIL) is possible, once in a long while. */
function judge(query: Buffer, wanted: Due, reply: Buffer, transport: "udp" | "tcp"): void {
  const hex = `${query.toString("hex")} → ${reply.toString("hex")}`;
  assert.ok(reply.length >= 12 && (reply[2]! & 0x80) !== 0, hex);
  assert.equal(reply[2]! & 0x78, query[2]! & 0x78, `opcode: ${hex}`);
  const low = rcodeName(reply[3]! & 15);
  if (wanted === "answer") {
    const right = answerFromZone(zone, query, transport).replies.at(-1)!;
    // The alias of a NAT address, where that is all that was asked for: the zone has no such name.
    if (low === "NOERROR" && /in-addr/i.test(query.toString("latin1")) && reply.readUInt16BE(6) === 1) return;
    if (low !== "SERVFAIL") assert.equal(low, rcodeName(right[3]! & 15), hex);
  } else assert.equal(low, wanted === "BADVERS" ? "NOERROR" : wanted, hex);
  // BADVERS is in the OPT record, the only one of the reply: behind type, class.
  if (wanted === "BADVERS") assert.equal(reply.at(-6), 1, hex);
}

export function assertCalm({ before, after, answers, sent, wrong }: StormReport): void {
  assert.deepEqual(wrong, []);
  const { failures, responses } = after.stats;
  assert.equal(failures.internal, 0);
  // Memory that follows the number of messages would be far more.
  const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  assert.ok(
    after.heapUsed - before.heapUsed < 24 * 2 ** 20,
    `heap ${megabytes(before.heapUsed)} → ${megabytes(after.heapUsed)} MB`,
  );
  assert.ok(
    after.rss - before.rss < 160 * 2 ** 20,
    `RSS ${megabytes(before.rss)} → ${megabytes(after.rss)} MB`,
  );
  for (const wanted of ["silence", "answer", "FORMERR", "NOTIMP", "BADVERS"] as const)
    assert.ok(answers[wanted] > (sent.udp + sent.tcp) / 1000, `${answers[wanted]} × ${wanted}`);
  assert.ok(
    (responses.SERVFAIL ?? 0) <= failures.loop + failures.upstream,
    JSON.stringify({ responses, failures }),
  );
}
