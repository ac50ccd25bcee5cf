/**
 * Questions over UDP. RFC 5452 §9.2: an off-path forger must guess ID and port, so IDs are random, ports are the
 * kernel's random ones, and sockets are replaced often. Connected sockets: the kernel drops what comes from anybody
 * but the upstream and tells us of ICMP errors at once.
 */
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { isIpv6 } from "../addresses.ts";
import { type Message, patchId, type Question, readQuestion, u16 } from "./message.ts";
import { matchReply } from "./upstream-reply.ts";

const maxChannels = 8;
const maxQuestions = 1000;
const maxAgeMs = 10_000;
const receiveBuffer = 1 << 20;

interface Pending {
  readonly bytes: Uint8Array;
  readonly question: Question;
  done(reply: Message): void;
  fail(error: Error): void;
}

interface Channel {
  readonly socket: Socket;
  readonly connected: Promise<void>;
  readonly pending: Map<number, Pending>;
  readonly retireAt: number;
  questions: number;
}

export interface UdpPool {
  ask(query: Uint8Array, signal: AbortSignal): Promise<Message>;
  sent(query: Uint8Array): boolean;
  retire(): void;
}

/** `mismatched` hears of messages that answer no question of ours: late, mistaken or forged. */
export function createUdpPool(address: string, port: number, mismatched: () => void): UdpPool {
  let channels: Channel[] = [];
  let retired = false;

  function open(): Channel {
    const family = isIpv6(address) ? 6 : 4;
    const socket = createSocket({
      type: `udp${family}`,
      recvBufferSize: receiveBuffer,
      lookup: (host, _options, done) => done(null, host, family),
    });
    const pending = new Map<number, Pending>();
    const connected = new Promise<void>((done, fail) => {
      socket.once("error", fail);
      // Node hands a failure (no route, for one) to the callback instead of 'error'.
      socket.connect(port, address, (error?: Error) => (error ? fail(error) : done()));
    });
    const channel: Channel = { socket, connected, pending, retireAt: Date.now() + maxAgeMs, questions: 0 };
    connected.catch(() => drop(channel));
    // ICMP 'port unreachable' and the like: every question on this socket has met the same fate.
    socket.on("error", (error) => {
      for (const waiting of pending.values()) waiting.fail(error);
    });
    socket.on("message", (bytes) => {
      const waiting = bytes.length >= 2 ? pending.get(u16(bytes, 0)) : undefined;
      const reply = waiting && matchReply(waiting.bytes, waiting.question, bytes);
      if (reply === undefined) mismatched();
      else waiting!.done(reply);
    });
    channels.push(channel);
    return channel;
  }

  function pick(): Channel {
    const now = Date.now();
    for (const channel of channels)
      if (channel.questions >= maxQuestions || now >= channel.retireAt) drop(channel);
    return channels.length < maxChannels ? open() : channels[randomInt(channels.length)]!;
  }

  /** No new questions; the socket closes with its last one. */
  function drop(channel: Channel): void {
    channels = channels.filter((other) => other !== channel);
    if (channel.pending.size === 0) close(channel);
  }

  function close({ socket, connected }: Channel): void {
    connected.finally(() => socket.close()).catch(() => undefined);
  }

  return {
    ask(query, signal) {
      const question = readQuestion(query);
      if (question === undefined) return Promise.reject(new TypeError("not a DNS question"));
      const channel = pick();
      channel.questions++;
      const bytes = Uint8Array.from(query);
      const id = freeId(channel.pending, u16(query, 0));
      patchId(bytes, id);
      return new Promise<Message>((resolve, reject) => {
        const settle = () => {
          channel.pending.delete(id);
          signal.removeEventListener("abort", abort);
          if (retired || !channels.includes(channel)) drop(channel);
        };
        const fail = (error: Error) => {
          settle();
          reject(error);
        };
        const abort = () => fail(signal.reason as Error);
        const done = (reply: Message) => {
          settle();
          resolve(reply);
        };
        channel.pending.set(id, { bytes, question, done, fail });
        signal.addEventListener("abort", abort);
        const failed = (error: Error | null) => error && channel.pending.get(id)?.fail(error);
        channel.connected.then(() => {
          if (channel.pending.has(id)) channel.socket.send(bytes, failed);
        }, failed);
      });
    },
    sent: (query) =>
      channels.some(({ pending }) => {
        const waiting = pending.get(u16(query, 0));
        return waiting !== undefined && Buffer.compare(waiting.bytes, query) === 0;
      }),
    retire() {
      retired = true;
      for (const channel of channels) drop(channel);
    },
  };
}

/** Random, not in use on this socket, and not the client's own: a question that comes back to us must be told apart. */
function freeId(pending: ReadonlyMap<number, unknown>, clientId: number): number {
  for (;;) {
    const id = randomInt(0x10000);
    if (id !== clientId && !pending.has(id)) return id;
  }
}
