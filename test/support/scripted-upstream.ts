/** A DNS server on loopback that does to each question what a script says: over UDP and TCP, or over TLS. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { createFrameReader, frame } from "../../src/dns/framing.ts";
import { headerLength, readQuestion, scanMessage } from "../../src/dns/message.ts";
import { nameToText } from "../../src/dns/name.ts";

export interface ScriptedQuestion {
  readonly transport: "udp" | "tcp" | "tls";
  readonly query: Buffer;
  /** Port. */
  readonly source: number;
  /** Letter case as it came, without the final dot. */
  readonly name: string;
  /** Of this server, from 0; 0 for UDP. */
  readonly connection: number;
  /** On this connection, from 0. */
  readonly nth: number;
  send(reply: Uint8Array): void;
  close(): void;
}

export type Script = (question: ScriptedQuestion) => void;

export interface ScriptedUpstream {
  readonly address: string;
  readonly port: number;
  readonly asked: readonly ScriptedQuestion[];
  /** One a connection: whether it resumed a TLS session. */
  readonly connections: readonly { readonly resumed: boolean }[];
  script: Script;
  /** From now on connections are refused; UDP goes on. */
  refuseConnections(): void;
  close(): Promise<void>;
}

export interface ScriptedOptions {
  readonly address?: string;
  readonly port?: number;
  readonly script: Script;
  /** PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export async function startScriptedUpstream(options: ScriptedOptions): Promise<ScriptedUpstream> {
  const { address = "127.0.0.1", port = 0, tls } = options;
  const asked: ScriptedQuestion[] = [];
  const connections: { resumed: boolean }[] = [];
  const sockets = new Set<Socket>();

  function take(question: Omit<ScriptedQuestion, "name">): void {
    const name = question.query.subarray(headerLength, readQuestion(question.query)?.nameEnd);
    const named = { ...question, name: nameToText(name) };
    asked.push(named);
    upstream.script(named);
  }

  function serve(socket: Socket): void {
    const transport = tls === undefined ? "tcp" : "tls";
    const connection = connections.push({
      resumed: tls !== undefined && (socket as TLSSocket).isSessionReused(),
    });
    const reader = createFrameReader();
    let nth = 0;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next())
        take({
          transport,
          query: Buffer.from(message),
          source: socket.remotePort ?? 0,
          connection: connection - 1,
          nth: nth++,
          send: (reply) => void (socket.writable && socket.write(frame(reply))),
          close: () => void socket.end(),
        });
    });
  }

  const stream = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  stream.on("tlsClientError", () => undefined);
  await once(stream.listen(port, address), "listening");
  const bound = (stream.address() as AddressInfo).port;
  const udp = createSocket("udp4");
  let nth = 0;
  let closed = false;
  if (tls === undefined)
    await once(udp.bind(bound, address), "listening").catch((error) => {
      stream.close();
      throw error;
    });
  udp.on("message", (query, from) =>
    take({
      transport: "udp",
      query,
      source: from.port,
      connection: 0,
      nth: nth++,
      send: (reply) => void (closed || udp.send(reply, from.port, from.address, () => undefined)),
      close: () => undefined,
    }),
  );
  const upstream: ScriptedUpstream = {
    address,
    port: bound,
    asked,
    connections,
    script: options.script,
    refuseConnections: () => void stream.close(),
    async close() {
      closed = true;
      udp.close();
      for (const socket of sockets) socket.destroy();
      if (!stream.listening) return;
      stream.close();
      await once(stream, "close");
    },
  };
  return upstream;
}

export interface ReplyOptions {
  readonly rcode?: number;
  /** TC. */
  readonly cut?: boolean;
  /** Of the A record; none: no record. */
  readonly answer?: string | undefined;
  /** The owner is written out instead of pointing to the question. */
  readonly plainOwner?: boolean;
  /** Behind everything, counted as additional. */
  readonly additional?: Uint8Array;
}

/** A reply to the question with the same ID: by default one A record 192.0.2.1. */
export function replyTo(query: Uint8Array, options: ReplyOptions = {}): Buffer {
  const { rcode = 0, cut = false, plainOwner = false, additional } = options;
  const answer = rcode !== 0 || cut ? undefined : (options.answer ?? "192.0.2.1");
  const end = scanMessage(query)!.question.end;
  const head = Buffer.from(query.subarray(0, end));
  head[2] = 0x80 | (cut ? 2 : 0) | (query[2]! & 1);
  head[3] = 0x80 | rcode;
  head.writeUInt16BE(answer === undefined ? 0 : 1, 6);
  head.writeUInt16BE(0, 8);
  head.writeUInt16BE(additional === undefined ? 0 : 1, 10);
  const owner = plainOwner ? query.subarray(headerLength, end - 4) : Uint8Array.of(0xc0, headerLength);
  const fixed = Uint8Array.of(0, 1, 0, 1, 0, 0, 0, 60, 0, 4);
  const record = answer === undefined ? [] : [owner, fixed, Uint8Array.from(answer.split("."), Number)];
  return Buffer.concat([head, ...record, ...(additional === undefined ? [] : [additional])]);
}
