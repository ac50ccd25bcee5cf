/**
 * Questions over UDP. RFC 5452 §9.2: an off-path forger must guess ID and port, so IDs are random, ports are the
 * kernel's random ones, and sockets are replaced often. Connected sockets: the kernel drops what comes from anybody
 * but the upstream and tells us of ICMP errors at once.
 */
import { createSocket, type Socket } from "node:dgram";
import { isIpv6 } from "../addresses.ts";
import type { Asked } from "./asked.ts";
import { createIdTable, type IdTable } from "./id-table.ts";
import { type LetterCase, restoreCase, sameCase, scramble } from "./letter-case.ts";
import { type Message, patchId, u16 } from "./message.ts";
import { randomBelow } from "./random-bits.ts";
import type { Sink, Ticket } from "./upstream.ts";
import { matchReply } from "./upstream-reply.ts";

const maxChannels = 8;
const maxQuestions = 1000;
const maxAgeMs = 10_000;
/** A power of two, twice `maxQuestions` at least. */
const idPlaces = 2048;
const receiveBuffer = 1 << 20;
interface Pending extends Ticket {
  readonly id: number;
  readonly asked: Asked;
  readonly channel: Channel;
  readonly bytes: Buffer;
  /** The reply must have the letter case of `bytes`. */
  readonly scrambled: boolean;
  readonly sink: UdpSink;
}

interface Channel {
  readonly socket: Socket;
  readonly pending: IdTable<Pending>;
  readonly retireAt: number;
  questions: number;
  /** Asked before the socket was connected; undefined once it is. */
  early: Pending[] | undefined;
  retired: boolean;
  closed: boolean;
}

export interface UdpSink extends Sink {
  /** The reply was right but for the letter case: a server's habit, or a forgery. */
  miscased(): void;
}

export interface UdpPool {
  ask(asked: Asked, sink: UdpSink): Ticket;
  sent(query: Uint8Array): boolean;
  /** Questions that wait for their reply. */
  readonly pending: number;
  retire(): void;
}

/** `mismatched` hears of messages that answer no question of ours: late, mistaken or forged. */
export function createUdpPool(
  address: string,
  port: number,
  letterCase: LetterCase,
  mismatched: () => void,
): UdpPool {
  let pending = 0;
  let channels: Channel[] = [];
  let left = false;

  function open(now: number): Channel {
    const family = isIpv6(address) ? 6 : 4;
    const socket = createSocket({
      type: `udp${family}`,
      recvBufferSize: receiveBuffer,
      lookup: (host, _options, done) => done(null, host, family),
    });
    const channel: Channel = {
      socket,
      pending: createIdTable(idPlaces),
      retireAt: now + maxAgeMs,
      questions: 0,
      early: [],
      retired: false,
      closed: false,
    };
    // ICMP 'port unreachable' and the like: every question on this socket has met the same fate.
    socket.on("error", (error) => {
      failAll(channel, error);
      if (channel.early !== undefined) unconnected(channel);
    });
    socket.on("message", (bytes) => received(channel, bytes));
    // Node hands a failure (no route, for one) to the callback instead of 'error'.
    socket.connect(port, address, (error?: Error) => {
      if (error) {
        failAll(channel, error);
        unconnected(channel);
        return;
      }
      const early = channel.early ?? [];
      channel.early = undefined;
      for (const one of early) if (channel.pending.get(one.id) === one) send(one);
      closeWhenDone(channel);
    });
    channels.push(channel);
    return channel;
  }

  function unconnected(channel: Channel): void {
    channel.early = undefined;
    retire(channel);
  }

  function send(waiting: Pending): void {
    const { channel, bytes } = waiting;
    channel.socket.send(bytes, (error) => {
      if (!error) return;
      // The one failure that is the question's own.
      if ((error as NodeJS.ErrnoException).code !== "EMSGSIZE") failAll(channel, error);
      else if (settle(waiting)) waiting.sink.failed(error);
    });
  }

  function received(channel: Channel, bytes: Buffer): void {
    const waiting = bytes.length >= 2 ? channel.pending.get(u16(bytes, 0)) : undefined;
    const reply = waiting && matchReply(waiting.bytes, waiting.asked.question, bytes);
    if (waiting === undefined || reply === undefined) {
      mismatched();
      return;
    }
    settle(waiting);
    // An error without its question has no letters to show for itself.
    if (waiting.scrambled && (u16(bytes, 4) === 0 || !backInCase(waiting, reply))) {
      mismatched();
      waiting.sink.miscased();
    } else waiting.sink.answered(reply);
  }

  function backInCase({ bytes, asked }: Pending, reply: Message): boolean {
    if (!sameCase(bytes, reply.bytes, asked.question.nameEnd)) return false;
    letterCase.kept();
    restoreCase(reply, bytes, asked.bytes);
    return true;
  }

  function failAll(channel: Channel, error: Error): void {
    for (const waiting of channel.pending.items()) if (settle(waiting)) waiting.sink.failed(error);
  }

  /** False when it was settled before: by another's failure, for one. */
  function settle(waiting: Pending): boolean {
    const { channel } = waiting;
    if (!channel.pending.delete(waiting)) return false;
    pending--;
    closeWhenDone(channel);
    return true;
  }

  function pick(): Channel {
    const now = performance.now();
    for (let index = channels.length - 1; index >= 0; index--) {
      const channel = channels[index]!;
      if (channel.questions >= maxQuestions || now >= channel.retireAt) retire(channel);
    }
    return channels.length < maxChannels ? open(now) : channels[randomBelow(maxChannels)]!;
  }

  /** No new questions; the socket closes with its last one. */
  function retire(channel: Channel): void {
    channels = channels.filter((other) => other !== channel);
    channel.retired = true;
    closeWhenDone(channel);
  }

  function closeWhenDone(channel: Channel): void {
    if (!channel.retired || channel.closed || channel.pending.size > 0 || channel.early !== undefined) return;
    channel.closed = true;
    channel.socket.close();
  }

  return {
    ask(asked, sink) {
      const channel = pick();
      channel.questions++;
      pending++;
      const bytes = Buffer.allocUnsafe(asked.bytes.length);
      bytes.set(asked.bytes);
      const id = channel.pending.freeId(u16(bytes, 0));
      patchId(bytes, id);
      const scrambled = letterCase.on() && !asked.signed;
      if (scrambled) scramble(bytes, asked.question.nameEnd);
      const waiting: Pending = {
        id,
        asked,
        channel,
        bytes,
        scrambled,
        sink,
        cancel() {
          settle(waiting);
        },
      };
      channel.pending.add(waiting);
      if (channel.early === undefined) send(waiting);
      else channel.early.push(waiting);
      if (left) retire(channel);
      return waiting;
    },
    sent: (query) =>
      channels.some((channel) => {
        const waiting = channel.pending.get(u16(query, 0));
        return waiting !== undefined && Buffer.compare(waiting.bytes, query) === 0;
      }),
    get pending() {
      return pending;
    },
    retire() {
      left = true;
      for (const channel of channels) retire(channel);
    },
  };
}
