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
  /** The node that has the key, as far as known. */
  nodeOf(key: string): RedisNode | undefined;
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
    mget: (keys: readonly string[]) => getAll(route, what, limits, keys, (key) => on(key, "get", [key])),
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

/** MGET: a pipeline of GETs for each node; what a node doesn't answer with a value is asked for on its own. */
async function getAll(
  route: ClusterRoute,
  what: string,
  { endMs, replicated }: CallLimits,
  keys: readonly string[],
  get: (key: string) => Promise<unknown>,
): Promise<unknown[]> {
  const byNode = new Map<RedisNode | undefined, number[]>();
  for (const [index, key] of keys.entries()) {
    const node = route.nodeOf(key);
    const indices = byNode.get(node);
    if (indices === undefined) byNode.set(node, [index]);
    else indices.push(index);
  }
  const values: unknown[] = new Array(keys.length);
  const one = async (index: number) => {
    values[index] = await get(keys[index]!).catch((error) => {
      // The value of another Redis type is nil to MGET.
      if (/^WRONGTYPE/.test(error.cause?.message ?? "")) return null;
      throw error;
    });
  };
  await Promise.all(
    Array.from(byNode, async ([node, indices]) => {
      if (!node?.connected()) return await Promise.all(indices.map(one));
      const run = replicated ? node.replicated : node.call;
      const gets = indices.map((index) => ["get", keys[index]!]);
      const replies = await run(
        what,
        (redis) => redis.pipeline(gets).exec(),
        Math.max(endMs - performance.now(), 1),
      );
      const refused: number[] = [];
      for (const [position, index] of indices.entries()) {
        const [error, value] = replies?.[position] ?? [new Error("no reply")];
        if (error) refused.push(index);
        else values[index] = value;
      }
      return await Promise.all(refused.map(one));
    }),
  );
  return values;
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
