/** All upstreams as one, with what is known of each. */
import type { Logger } from "../log.ts";
import { createHealth } from "./health.ts";
import type { Message } from "./message.ts";
import { type Member, race } from "./race.ts";
import type { Upstream } from "./upstream.ts";

export interface Resolver {
  /** The reply's bytes as the upstream sent them. Rejects with EG46_UPSTREAM_UNAVAILABLE within 2.5 s. */
  resolve(query: Uint8Array, whole: boolean): Promise<Message>;
  healthy(): boolean;
  sent(query: Uint8Array): boolean;
  /** Upstreams that stay keep their health; those that go finish their questions. */
  configure(addresses: readonly string[]): void;
  close(): void;
}

export function createResolver(deps: {
  createUpstream: (address: string) => Upstream;
  log: Logger;
}): Resolver {
  let members: readonly Member[] = [];

  function join(address: string): Member {
    const upstream = deps.createUpstream(address);
    return { upstream, health: createHealth(upstream, deps.log) };
  }

  function leave({ upstream, health }: Member): void {
    health.stop();
    upstream.retire();
  }

  return {
    resolve: (query, whole) => race(query, whole, members),
    healthy: () => members.some(({ health }) => health.good()),
    sent: (query) => members.some(({ upstream }) => upstream.sent(query)),
    configure(addresses) {
      const before = members;
      members = [...new Set(addresses)].map(
        (address) => before.find(({ upstream }) => upstream.address === address) ?? join(address),
      );
      for (const member of before) if (!members.includes(member)) leave(member);
    },
    close() {
      for (const member of members) leave(member);
      members = [];
    },
  };
}
