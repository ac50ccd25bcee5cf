/**
 * What the lab's Pod does, as a program of its own inside the Pod's namespace: it needs nothing but Node.
 *   pod-client.js ask SERVER NAME TYPE    one question over UDP
 *   pod-client.js fetch URL               by the system's resolver
 * Prints the result as JSON.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import { decode, encode, RECURSION_DESIRED, type RecordType } from "dns-packet";
import type { Netns } from "./netns.ts";

export interface Asked {
  readonly question: string;
  readonly ms: number;
  /** Without the EDNS record; `data` as text. */
  readonly answers: readonly {
    readonly name: string;
    readonly type: string;
    readonly ttl: number;
    readonly data: string;
  }[];
}

export interface Fetched {
  readonly ms: number;
  readonly status: number;
  readonly body: string;
  /** The address that the Pod connected to. */
  readonly server: string;
}

const program = fileURLToPath(import.meta.url);

/** As that Pod: one DNS question. Rejects with the reason if no answer comes within 5 s. */
export async function ask(pod: Netns, server: string, name: string, type: RecordType): Promise<Asked> {
  return asPod(pod, ["ask", server, name, type]);
}

/** As that Pod: a page by HTTP. Rejects with the reason if it doesn't come within 10 s. */
export async function fetchPage(pod: Netns, url: string): Promise<Fetched> {
  return asPod(pod, ["fetch", url]);
}

async function asPod<T>(pod: Netns, args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await pod.execute([process.execPath, program, ...args]);
  if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr.trim()}`);
  return JSON.parse(stdout);
}

async function askHere(server: string, name: string, type: RecordType): Promise<Asked> {
  const socket = createSocket("udp4");
  const started = performance.now();
  socket.send(
    encode({
      type: "query",
      id: process.pid & 0xffff,
      flags: RECURSION_DESIRED,
      questions: [{ type, name }],
    }),
    53,
    server,
  );
  const [message] = await once(socket, "message", { signal: AbortSignal.timeout(5000) });
  const ms = performance.now() - started;
  socket.close();
  const answers = (decode(message as Buffer).answers ?? []).map((answer) => ({
    name: answer.name,
    type: answer.type,
    ttl: "ttl" in answer ? (answer.ttl ?? 0) : 0,
    data: "data" in answer ? String(answer.data) : "",
  }));
  return { question: `${name} ${type}`, ms, answers };
}

async function fetchHere(url: string): Promise<Fetched> {
  const started = performance.now();
  const request = get(url, { signal: AbortSignal.timeout(10_000), agent: false });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const server = response.socket.remoteAddress ?? "";
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  return { ms: performance.now() - started, status: response.statusCode ?? 0, body, server };
}

if (process.argv[1] === program) {
  const [, , verb, first = "", name = "", type = "A"] = process.argv;
  const work = verb === "ask" ? askHere(first, name, type as RecordType) : fetchHere(first);
  work.then(
    (result) => console.log(JSON.stringify(result)),
    (error: Error) => {
      console.error(error.name === "AbortError" ? "no answer in time" : error.message);
      process.exit(1);
    },
  );
}
