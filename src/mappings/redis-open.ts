import type { Logger } from "../log.ts";
import type { Certificates } from "./certificates.ts";
import { openCluster } from "./redis-cluster.ts";
import { createDialer, type RedisTarget } from "./redis-dial.ts";
import { openNode, type RedisNodes, singleNode } from "./redis-node.ts";
import type { RedisWait } from "./redis-replication.ts";
import { followSentinels } from "./redis-sentinel.ts";
import { tlsTo } from "./redis-tls.ts";
import type { Endpoint, RedisPlace } from "./redis-url.ts";
import { createStoreState } from "./store-state.ts";

export interface RedisParts {
  readonly place: RedisPlace;
  /** Those for the next connection. */
  readonly certificates: () => Certificates;
  readonly wait: RedisWait;
  readonly log: Logger;
}

/** The connections of a --store URL; they are made, and made again, by themselves. */
export function openRedisNodes({ place, certificates, wait, log }: RedisParts): RedisNodes {
  const { kind, name, hosts, login } = place;
  const state = createStoreState(name, { failed: "is away", recovered: "is back" }, log);
  const targetOf = (endpoint: Endpoint, credentials = login): RedisTarget => ({
    ...endpoint,
    ...credentials,
    tls: place.secure ? () => tlsTo(place, endpoint, certificates) : undefined,
  });
  if (kind === "cluster")
    return openCluster({
      ...{ name, state, seeds: hosts },
      open: (endpoint, memberState) =>
        openNode({
          ...{ name, wait, wanted: kind, state: memberState },
          dialer: createDialer(name, () => targetOf(endpoint), log),
        }),
    });
  if (kind === "single") {
    const dialer = createDialer(name, () => targetOf(hosts[0]!), log);
    return singleNode(name, openNode({ name, wait, wanted: kind, state, dialer }));
  }
  const { dialer, misled, close } = followSentinels({ place, targetOf, log });
  return singleNode(name, openNode({ name, wait, wanted: kind, state, dialer, misled }), close);
}
