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
}

const maxInFlight = 8192;

export function createExchange(resolver: Pick<Resolver, "resolve">): Exchange {
  const inFlight = new Map<string, Promise<Message>>();
  return {
    ask(query, whole) {
      const tail = Buffer.from(query.buffer, query.byteOffset + 2, query.length - 2);
      const key = `${whole} ${tail.toString("latin1")}`;
      const shared = inFlight.get(key);
      if (shared !== undefined) return shared;
      if (inFlight.size >= maxInFlight)
        return Promise.reject(new Eg46Error("EG46_UPSTREAM_UNAVAILABLE", "too many DNS questions in flight"));
      const asked = resolver.resolve(query, whole).finally(() => inFlight.delete(key));
      inFlight.set(key, asked);
      return asked;
    },
  };
}
