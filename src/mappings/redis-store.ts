import type { Logger } from "../log.ts";
import { keyOf, keyPrefix, nat4OfKey } from "./codec.ts";
import { callBudgetMs, sleep } from "./deadline.ts";
import { pollChanges } from "./poll-watch.ts";
import { heldKey, leasesMark } from "./record-keys.ts";
import { connectRedis, isReplyError } from "./redis-connection.ts";
import { createDialer, type RedisTarget } from "./redis-dial.ts";
import { redisRecords, renewLeased, setLeased } from "./redis-leases.ts";
import { trackChanges } from "./redis-watch.ts";
import type { Lease, MappingStore, StoreListener } from "./store.ts";

const scanCount = 1000;
const pollMs = 400;
/** After so long in polling mode tracking is tried again (the server may have been upgraded, or its rules mended). */
const retryTrackingMs = 60_000;
const reconnectMs = 200;
/** Stands in for the value of a key of another type, which GET refuses: never a mapping, so the address is occupied. */
const notText = "(not a string)";

/** dSSM: the specification's keys and values, created by SETNX only, deleted by DEL. Does not wait for the server. */
export function openRedisStore(target: RedisTarget, log: Logger): MappingStore {
  const dialer = createDialer(target, log);
  const connection = connectRedis(target.name, dialer, log);
  const closing = new AbortController();
  const { call } = connection;
  /** Whether addresses may be held for somebody; as long as nobody has leases, nobody needs to look. */
  let leases = false;

  async function get(nat4: string, budgetMs = callBudgetMs): Promise<string | undefined> {
    try {
      return (await call("GET", (redis) => redis.get(keyOf(nat4)), budgetMs)) ?? undefined;
    } catch (error) {
      if (error instanceof Error && isReplyError(error.cause) && error.cause.message.startsWith("WRONGTYPE"))
        return notText;
      throw error;
    }
  }

  async function getKeys(keys: readonly string[]): Promise<(string | undefined)[]> {
    if (keys.length === 0) return [];
    const values = await call("MGET", (redis) => redis.mget([...keys]));
    return values.map((value) => value ?? undefined);
  }

  const getMany = (nat4s: readonly string[]) => getKeys(nat4s.map(keyOf));

  /** Like getMany, which says nil of a key of another type too: GET tells such a key from none. */
  async function read(nat4s: readonly string[]): Promise<(string | undefined)[]> {
    const values = await getMany(nat4s);
    return Promise.all(values.map((value, index) => value ?? get(nat4s[index]!)));
  }

  async function claim(nat4: string, value: string, lease?: Lease): Promise<boolean> {
    let sent = false;
    try {
      const created = await call(
        "SETNX",
        (redis) => {
          sent = true;
          return lease === undefined ? redis.setnx(keyOf(nat4), value) : setLeased(redis, nat4, value, lease);
        },
        callBudgetMs / 2,
      );
      return created === 1;
    } catch (error) {
      if (!sent || (error instanceof Error && isReplyError(error.cause))) throw error;
      // In doubt: it may have landed without its answer reaching us. Absent, it may still land, so nothing is promised.
      const found = await get(nat4, callBudgetMs / 2);
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

  async function watch(listener: StoreListener, abort: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([abort, closing.signal]);
    while (!signal.aborted) {
      if ((await trackChanges(dialer, read, listener, signal)) === "refused") {
        log.info(`mapping store ${target.name} refuses CLIENT TRACKING: looking for changes by SCAN instead`);
        const polling = AbortSignal.any([signal, AbortSignal.timeout(retryTrackingMs)]);
        await pollChanges({ intervalMs: pollMs, list }, listener, polling);
      } else await sleep(reconnectMs, signal);
    }
  }

  return {
    name: target.name,
    connected: connection.connected,
    problem: connection.problem,
    get: (nat4) => get(nat4),
    getMany,
    async window(addresses) {
      const nat4s = [...addresses];
      const readHolders = () => getKeys(nat4s.map(heldKey));
      const keys = nat4s.map((nat4) => keyPrefix + nat4);
      keys.push(leasesMark);
      // Both are written before either is answered: one round trip.
      const [values, known] = await Promise.all([getKeys(keys), leases ? readHolders() : undefined]);
      leases ||= values[nat4s.length] !== undefined;
      const holders = known ?? (leases ? await readHolders() : []);
      return nat4s.map((_, index) => {
        const value = values[index];
        return { value, heldFor: value === undefined ? holders[index] : undefined };
      });
    },
    claim,
    renew: (leases) => renewLeased(call, leases),
    records: redisRecords(call, getKeys),
    release: async (nat4) => (await call("DEL", (redis) => redis.del(keyOf(nat4)))) === 1,
    list,
    watch,
    async close() {
      closing.abort();
      connection.close();
    },
  };
}
