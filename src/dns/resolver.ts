/** All upstreams as one, with what is known of each. */

import { createDeadlines } from "../deadlines.ts";
import type { Logger } from "../log.ts";
import { readAsked } from "./asked.ts";
import { createHealth, type UpstreamStats } from "./health.ts";
import type { Message } from "./message.ts";
import { type Member, race, type Trace } from "./race.ts";
import type { Upstream } from "./upstream.ts";

export interface Resolver {
  /**
   * The reply's bytes as the upstream sent them, letter case of the client's question apart. Rejects with
   * EG46_UPSTREAM_UNAVAILABLE within 2.5 s.
   */
  resolve(query: Uint8Array, whole: boolean, trace?: Trace): Promise<Message>;
  healthy(): boolean;
  sent(query: Uint8Array): boolean;
  /** Goes up whenever what failed before may succeed: an upstream answers again, or the upstreams are others. */
  generation(): number;
  /** In the order of configuration. */
  stats(): UpstreamStats[];
  /** Upstreams that stay keep their health; those that go finish their questions. */
  configure(addresses: readonly string[]): void;
  close(): void;
}

export function createResolver(deps: {
  createUpstream: (address: string) => Upstream;
  log: Logger;
}): Resolver {
  const deadlines = createDeadlines();
  let members: readonly Member[] = [];
  let generation = 0;

  function join(address: string): Member {
    const upstream = deps.createUpstream(address);
    generation++;
    return { upstream, health: createHealth(upstream, deps.log, () => generation++) };
  }

  function leave({ upstream, health }: Member): void {
    generation++;
    health.stop();
    upstream.retire();
  }

  return {
    resolve: (query, whole, trace) =>
      new Promise((resolve, reject) => {
        const asked = readAsked(query);
        if (asked === undefined) reject(new TypeError("not a DNS question"));
        else race(asked, whole, members, deadlines, { resolve, reject }, trace);
      }),
    healthy: () => members.some(({ health }) => health.good()),
    sent: (query) => members.some(({ upstream }) => upstream.sent(query)),
    generation: () => generation,
    stats: () => members.map(({ health }) => health.stats()),
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
