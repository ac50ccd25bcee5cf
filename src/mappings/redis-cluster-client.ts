import type { Redis } from "ioredis";
import { unavailable } from "./deadline.ts";
import type { RedisNode } from "./redis-node.ts";

export interface CallLimits {
  /** By performance.now(). */
  readonly endMs: number;
  readonly replicated: boolean;
}

export interface ClusterRoute {
  /** Runs a command on the node that has the key. */
  run<T>(what: string, key: string, command: (redis: Redis) => Promise<T>, limits: CallLimits): Promise<T>;
  /** Names of all primaries. */
  primaries(): readonly string[];
  node(name: string): RedisNode | undefined;
}

type Word = string | number;
type Method = (...words: Word[]) => Promise<unknown>;

/**
 * What stands in for ioredis' client where keys are spread over nodes: any command whose first word is its only key;
 * MGET as GETs, as keys without a hash tag have no slot in common; SCAN of all primaries one after another. `isCluster`
 * tells callers that MULTI has no place here.
 */
export function clusterClient(route: ClusterRoute, what: string, limits: CallLimits): Redis {
  const on = (key: string, name: string, words: readonly Word[]) =>
    route.run(what, key, (redis) => method(redis, name)(...words), limits);

  const own: Record<string, unknown> = {
    isCluster: true,
    // The value of another Redis type is nil to MGET.
    mget: (keys: readonly string[]) =>
      Promise.all(
        keys.map((key) =>
          on(key, "get", [key]).catch((error) => {
            if (/^WRONGTYPE/.test(error.cause?.message ?? "")) return null;
            throw error;
          }),
        ),
      ),
    scan: (cursor: string, ...words: Word[]) => scan(route, what, limits, cursor, words),
  };
  return new Proxy(own, {
    get(_, name) {
      if (name in own) return own[name as string];
      if (typeof name !== "string" || name === "then") return undefined;
      return (...words: Word[]) => on(String(words[0]), name, words);
    },
  }) as unknown as Redis;
}

/** The cursor names the node; when that is no primary any more, what it had is elsewhere now and the scan has failed. */
async function scan(
  route: ClusterRoute,
  what: string,
  { endMs }: CallLimits,
  cursor: string,
  words: readonly Word[],
): Promise<[string, unknown]> {
  const names = route.primaries();
  const [at, inner = "0"] = cursor === "0" ? [names.join()] : cursor.split("|");
  const [name = "", ...rest] = (at ?? "").split(",");
  const node = route.node(name);
  if (node === undefined || ![name, ...rest].every((each) => names.includes(each)))
    throw unavailable(what, "the cluster's nodes changed meanwhile");
  const [next, keys] = (await node.call(
    what,
    (redis) => method(redis, "scan")(inner, ...words),
    Math.max(endMs - performance.now(), 1),
  )) as [string, unknown];
  if (next !== "0") return [`${at}|${next}`, keys];
  return [rest.length === 0 ? "0" : `${rest.join()}|0`, keys];
}

function method(redis: Redis, name: string): Method {
  return (redis as unknown as Record<string, Method>)[name]!.bind(redis);
}
