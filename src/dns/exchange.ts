/**
 * Questions to the upstreams, each asked once at a time: who asks for the same bytes meanwhile shares the answer
 * (RFC 5452 §5: duplicates in flight help a forger). The place for a cache.
 */
import { Eg46Error } from "../errors.ts";
import type { Message } from "./message.ts";
import type { Resolver } from "./resolver.ts";

export interface Exchange {
  /** Keeps `query`. The ID is free; everything behind it is part of the question. */
  ask(query: Uint8Array, whole: boolean): Promise<Message>;
  /**
   * True when this question, come in from a client, is our own on its way to an upstream whose address leads back to
   * us. Once in 65536 a client's ID is ours by chance, so the first time it only shares the answer like anybody.
   */
  isEcho(query: Uint8Array): boolean;
}

interface InFlight {
  readonly reply: Promise<Message>;
  echoes: number;
}

const maxInFlight = 8192;

export function createExchange(resolver: Pick<Resolver, "resolve" | "sent">): Exchange {
  const inFlight = new Map<string, InFlight>();
  return {
    ask(query, whole) {
      const key = keyOf(query, whole);
      const shared = inFlight.get(key);
      if (shared !== undefined) return shared.reply;
      if (inFlight.size >= maxInFlight)
        return Promise.reject(new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", "too many DNS questions in flight"));
      const reply = resolver.resolve(query, whole).finally(() => inFlight.delete(key));
      inFlight.set(key, { reply, echoes: 0 });
      return reply;
    },
    isEcho(query) {
      if (!resolver.sent(query)) return false;
      const own = inFlight.get(keyOf(query, false)) ?? inFlight.get(keyOf(query, true));
      return own !== undefined && ++own.echoes > 1;
    },
  };
}

function keyOf(query: Uint8Array, whole: boolean): string {
  const tail = Buffer.from(query.buffer, query.byteOffset + 2, query.length - 2);
  return `${whole} ${tail.toString("latin1")}`;
}
