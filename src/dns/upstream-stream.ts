/**
 * Questions over TCP or TLS (RFC 7766, RFC 7858): connections that stay, many questions under way on each, replies in
 * any order. A connection that breaks hands its questions to a new one.
 */
import type { Socket } from "node:net";
import type { Asked } from "./asked.ts";
import { cutToUdp } from "./cut-reply.ts";
import { createFrameReader } from "./framing.ts";
import { createIdTable, type IdTable } from "./id-table.ts";
import { patchId, u16 } from "./message.ts";
import { pad, unpad } from "./padding.ts";
import type { Dial } from "./stream-dial.ts";
import type { Sink, Ticket } from "./upstream.ts";
import { matchReply } from "./upstream-reply.ts";

const maxConnections = 4;
/** Questions under way on one; more wait for a place. */
const maxPipelined = 128;
/** RFC 7766 §6.2.3: some servers keep an idle connection for less; theirs is the close that is then met. */
const idleMs = 10_000;
/**
 * Without a byte for so long though questions are under way: perhaps nobody is there any more. No new question goes there
 * then; those under way stay until they have their answer or their time is over.
 */
const silenceMs = { connecting: 5000, established: 700 };
/** Connections that a question may see break: one that never answered anybody, or so many that did. */
const moves = { mute: 1, speaking: 3 };

interface Pending extends Ticket {
  readonly asked: Asked;
  readonly whole: boolean;
  readonly sink: Sink;
  link: Link | undefined;
  id: number;
  /** As it left, its length in front. */
  bytes: Uint8Array;
  moves: number;
  over: boolean;
}

interface Link {
  readonly socket: Socket;
  readonly pending: IdTable<Pending>;
  outgoing: Uint8Array[];
  established: boolean;
  answers: number;
  /** When the first question was sent after which nothing has come. */
  silentSince: number | undefined;
  /** No new questions. */
  left: boolean;
  closed: boolean;
}

export interface StreamPool {
  /** Without `whole` a reply is cut to what the question takes over UDP. */
  ask(asked: Asked, whole: boolean, sink: Sink): Ticket;
  sent(query: Uint8Array): boolean;
  retire(): void;
}

export interface StreamSettings {
  readonly dial: Dial;
  readonly padded: boolean;
  /** Hears of messages that answer no question of ours. */
  mismatched(): void;
  /** Whether a connection could be had; undefined: yes. */
  connected(problem: Error | undefined): void;
}

export function createStreamPool({ dial, padded, mismatched, connected }: StreamSettings): StreamPool {
  let links: Link[] = [];
  let queue: Pending[] = [];
  let retired = false;

  function open(): Link {
    const reader = createFrameReader();
    let problem = new Error("the connection was closed");
    const socket = dial(() => {
      link.established = true;
      connected(undefined);
    });
    const link: Link = {
      socket,
      pending: createIdTable(2 * maxPipelined),
      outgoing: [],
      established: false,
      answers: 0,
      silentSince: undefined,
      left: false,
      closed: false,
    };
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.on("error", (error) => {
      problem = error;
    });
    // A server that closes its side answers no more.
    socket.on("end", () => socket.destroy());
    socket.on("close", () => closed(link, problem));
    socket.on("data", (chunk: Uint8Array) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== undefined; message = reader.next())
        received(link, message);
      link.silentSince = link.pending.size > 0 ? performance.now() : undefined;
      pump();
      closeWhenDone(link);
    });
    links.push(link);
    return link;
  }

  function received(link: Link, message: Uint8Array): void {
    const waiting = message.length >= 2 ? link.pending.get(u16(message, 0)) : undefined;
    const reply = waiting && matchReply(waiting.bytes.subarray(2), waiting.asked.question, message);
    if (waiting === undefined || reply === undefined) {
      mismatched();
      return;
    }
    link.pending.delete(waiting);
    link.answers++;
    const { asked, whole, sink, bytes } = waiting;
    waiting.over = true;
    const own = bytes.length > asked.bytes.length + 2 ? unpad(reply) : reply;
    sink.answered(whole ? own : cutToUdp(asked, own));
  }

  function closed(link: Link, problem: Error): void {
    link.closed = true;
    links = links.filter((other) => other !== link);
    if (!link.established && !retired) connected(link.left ? new Error("it takes too long") : problem);
    const allowed = !link.established ? 0 : link.answers > 0 ? moves.speaking : moves.mute;
    const stranded = link.pending.items();
    for (const one of stranded) link.pending.delete(one);
    queue = [...stranded.filter((one) => one.moves < allowed), ...queue];
    for (const one of stranded)
      if (one.moves < allowed) one.moves++;
      else if (!one.over) {
        one.over = true;
        one.sink.failed(problem);
      }
    pump();
  }

  function pump(): void {
    while (queue.length > 0) {
      const link = pick();
      if (link === undefined) return;
      const next = queue.shift()!;
      if (!next.over) send(link, next);
    }
  }

  function pick(): Link | undefined {
    const now = performance.now();
    for (const link of links) {
      const limit = link.established ? silenceMs.established : silenceMs.connecting;
      if (link.silentSince !== undefined && now - link.silentSince > limit) leave(link);
    }
    const free = links.find(({ pending }) => pending.size < maxPipelined);
    if (free !== undefined) return free;
    return links.length < maxConnections ? open() : undefined;
  }

  function leave(link: Link): void {
    links = links.filter((other) => other !== link);
    link.left = true;
    closeWhenDone(link);
  }

  function closeWhenDone(link: Link): void {
    if ((link.left || retired) && link.pending.size === 0) link.socket.destroy();
  }

  function send(link: Link, waiting: Pending): void {
    const message = padded ? pad(waiting.asked) : waiting.asked.bytes;
    const bytes = Buffer.allocUnsafe(2 + message.length);
    bytes.writeUInt16BE(message.length, 0);
    bytes.set(message, 2);
    waiting.id = link.pending.freeId(u16(message, 0));
    patchId(bytes.subarray(2), waiting.id);
    waiting.bytes = bytes;
    waiting.link = link;
    link.pending.add(waiting);
    link.silentSince ??= performance.now();
    link.outgoing.push(bytes);
    // Whatever this turn of the event loop brings leaves in one segment, or one TLS record.
    if (link.outgoing.length === 1) setImmediate(flush, link);
  }

  return {
    ask(asked, whole, sink) {
      const waiting: Pending = {
        asked,
        whole,
        sink,
        link: undefined,
        id: 0,
        bytes: asked.bytes,
        moves: 0,
        over: false,
        cancel() {
          if (waiting.over) return;
          waiting.over = true;
          if (waiting.link === undefined) return;
          waiting.link.pending.delete(waiting);
          closeWhenDone(waiting.link);
          pump();
        },
      };
      queue.push(waiting);
      pump();
      return waiting;
    },
    sent: (query) =>
      links.some(({ pending }) => {
        const waiting = pending.get(u16(query, 0));
        return waiting !== undefined && Buffer.compare(waiting.bytes.subarray(2), query) === 0;
      }),
    retire() {
      retired = true;
      for (const link of links) closeWhenDone(link);
    },
  };
}

function flush(link: Link): void {
  const { outgoing, socket } = link;
  link.outgoing = [];
  if (!link.closed) socket.write(outgoing.length === 1 ? outgoing[0]! : Buffer.concat(outgoing));
}
