/** What the proxy's parts hand on: who asks, and the answer with what is counted and logged of it. */
import type { Trace } from "../trace.ts";
import { type Message, rcode, rcodeOf } from "./message.ts";
import type { Query } from "./query.ts";
import { errorReply, passReply, truncatedReply } from "./reply.ts";
import type { ReplySource } from "./stats.ts";
import type { NewAddress } from "./synthesize.ts";

export type Transport = "udp" | "tcp";

export interface Asking {
  readonly transport: Transport;
  /** The client's address as text. */
  client(): string;
  /** Somebody follows how the answer comes about. */
  readonly trace?: Trace | undefined;
}

export interface Answered {
  readonly bytes: Uint8Array;
  readonly rcode: number;
  readonly source: ReplySource;
  /** The addresses that DNS46 put into it. */
  readonly made?: readonly NewAddress[] | undefined;
}

/** The upstream's reply as it stands. */
export function pass(query: Query, reply: Message): Answered {
  return { bytes: passReply(query, reply), rcode: rcodeOf(reply), source: reply.source ?? "upstream" };
}

/** An error of our own, and why. */
export function local(query: Query, code: number, error: number, text: string): Answered {
  return { bytes: errorReply(query.bytes, code, { code: error, text }), rcode: code, source: "local" };
}

/** The client asks again over TCP. */
export function cut(query: Query): Answered {
  return { bytes: truncatedReply(query), rcode: rcode.NOERROR, source: "synthesized" };
}
