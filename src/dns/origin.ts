/** What a reply was made of, kept beside its bytes: only replies that say so may be remembered. */

/** upstream: as an upstream gave it; dns46: with addresses of DNS46; sorry: with the sorry IP. */
export type Origin = "upstream" | "dns46" | "sorry";

const origins = new WeakMap<Uint8Array, Origin>();

/** → the same bytes. */
export function withOrigin(origin: Origin, reply: Uint8Array): Uint8Array {
  origins.set(reply, origin);
  return reply;
}

export function originOf(reply: Uint8Array): Origin | undefined {
  return origins.get(reply);
}

/** It is not to be remembered. */
export function withoutOrigin(reply: Uint8Array): void {
  origins.delete(reply);
}
