import type { Logger } from "../log.ts";
import { keyOf, keyPrefix, nat4OfKey, notText } from "./codec.ts";
import { callBudgetMs } from "./deadline.ts";
import { heldKey, leasesMark } from "./record-keys.ts";
import { isReplyError } from "./redis-connection.ts";
import { followChanges } from "./redis-follow.ts";
import { redisRecords, renewLeased, setLeased } from "./redis-leases.ts";
import type { RedisNodes } from "./redis-node.ts";
import { isUnreplicated } from "./redis-replication.ts";
import type { Lease, MappingStore, Place, StoreListener } from "./store.ts";

const scanCount = 1000;
/** So long an entry that replicas don't confirm is kept back. */
const unreplicatedMs = 5000;

/** dSSM: the specification's keys and values, created by SETNX only, deleted by DEL. Does not wait for the server. */
export function openRedisStore(nodes: RedisNodes, log: Logger): MappingStore {
  const closing = new AbortController();
  const { call, replicated } = nodes;
  /** Whether addresses may be held for somebody; as long as nobody has leases, nobody needs to look. */
  let leases = false;

  async function get(nat4: string, run = call, budgetMs = callBudgetMs): Promise<string | undefined> {
    try {
      return (await run("GET", (redis) => redis.get(keyOf(nat4)), budgetMs)) ?? undefined;
    } catch (error) {
      if (error instanceof Error && isReplyError(error.cause) && error.cause.message.startsWith("WRONGTYPE"))
        return notText;
      throw error;
    }
  }

  async function getKeys(keys: readonly string[], run = call): Promise<(string | undefined)[]> {
    if (keys.length === 0) return [];
    const values = await run("MGET", (redis) => redis.mget([...keys]));
    return values.map((value) => value ?? undefined);
  }

  const getMany = (nat4s: readonly string[], run = call) => getKeys(nat4s.map(keyOf), run);

  /** Like getMany, which says nil of a key of another type too: GET tells such a key from none. */
  async function read(nat4s: readonly string[], run = call): Promise<(string | undefined)[]> {
    const values = await getMany(nat4s, run);
    return Promise.all(values.map((value, index) => value ?? get(nat4s[index]!)));
  }

  async function claim(nat4: string, value: string, lease?: Lease): Promise<boolean> {
    let sent = false;
    try {
      const created = await replicated(
        "SETNX",
        (redis) => {
          sent = true;
          return lease === undefined ? redis.setnx(keyOf(nat4), value) : setLeased(redis, nat4, value, lease);
        },
        callBudgetMs / 2,
      );
      return created === 1;
    } catch (error) {
      if (!sent || isUnreplicated(error) || (error instanceof Error && isReplyError(error.cause)))
        throw error;
      // In doubt: it may have landed without its answer reaching us. Absent, it may still land, so nothing is promised.
      const found = await get(nat4, replicated, callBudgetMs / 2);
      if (found === undefined) throw error;
      return found === value;
    }
  }

  async function* list(): AsyncGenerator<readonly [nat4: string, value: string]> {
    let cursor = "0";
    do {
      const from = cursor;
      const [next, keys] = await call("SCAN", (redis) =>
        redis.scan(from, "MATCH", `${keyPrefix}*`, "COUNT", scanCount),
      );
      const nat4s = keys.map(nat4OfKey).filter((nat4) => nat4 !== undefined);
      const values = await read(nat4s);
      for (const [index, nat4] of nat4s.entries()) {
        const value = values[index];
        if (value !== undefined) yield [nat4, value];
      }
      cursor = next;
    } while (cursor !== "0");
  }

  /**
   * For the watch: what was refused for want of a replica must not be answered with because we hear of it this way. If
   * this is a failover, the connection ends meanwhile, and so does this.
   */
  async function readReplicated(nat4s: readonly string[]): Promise<(string | undefined)[]> {
    for (const endMs = performance.now() + unreplicatedMs; ; )
      try {
        return await read(nat4s, replicated);
      } catch (error) {
        if (!isUnreplicated(error)) throw error;
        const values = await read(nat4s);
        if (performance.now() > endMs || values.every((value) => value === undefined)) return values;
      }
  }

  async function watch(listener: StoreListener, abort: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([abort, closing.signal]);
    await followChanges({ nodes, read: readReplicated, list, log }, listener, signal);
  }

  async function readWindow(nat4s: readonly string[]): Promise<Place[]> {
    if (nat4s.length === 0) return [];
    const readHolders = () => getKeys(nat4s.map(heldKey), replicated);
    const keys = nat4s.map((nat4) => keyPrefix + nat4);
    keys.push(leasesMark);
    // Both are written before either is answered: one round trip.
    const [values, known] = await Promise.all([
      getKeys(keys, replicated),
      leases ? readHolders() : undefined,
    ]);
    leases ||= values[nat4s.length] !== undefined;
    const holders = known ?? (leases ? await readHolders() : []);
    return nat4s.map((_, index) => {
      const value = values[index];
      return { value, heldFor: value === undefined ? holders[index] : undefined };
    });
  }

  return {
    name: nodes.name,
    connected: nodes.connected,
    partly: () => nodes.primaries().some((node) => node.connected()),
    problem: nodes.problem,
    lineage: () =>
      nodes
        .primaries()
        .map((node) => node.look()?.lineage)
        .join(),
    get: (nat4) => get(nat4),
    // An answer rests on what is found, so a failover must not undo it.
    getMany: (nat4s) => getMany(nat4s, replicated),
    window: readWindow,
    claim,
    renew: (leases) => renewLeased(replicated, leases),
    records: redisRecords(call, (keys) => getKeys(keys)),
    release: async (nat4) => (await call("DEL", (redis) => redis.del(keyOf(nat4)))) === 1,
    list,
    watch,
    async close() {
      closing.abort();
      nodes.close();
    },
  };
}
