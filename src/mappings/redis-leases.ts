import type { ChainableCommander, Redis } from "ioredis";
import { decodeValue, keyOf } from "./codec.ts";
import { heldKey, leasesMark } from "./record-keys.ts";
import type { Lease, RecordStore, RenewableLease, Renewal } from "./store.ts";

type Call = <T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number) => Promise<T>;

const batchSize = 200;
const scanCount = 1000;

/** SET NX PX of an entry together with the record that holds its address; 1: created, 0: there was an entry. */
export async function setLeased(redis: Redis, nat4: string, value: string, lease: Lease): Promise<0 | 1> {
  const { host6, entryMs, heldMs } = lease;
  const [key, held] = [keyOf(nat4), heldKey(nat4)];
  const hold = () => redis.set(held, host6, "PX", heldMs);
  if ((redis as { isCluster?: boolean }).isCluster === true) {
    // Keys of different slots: the hold comes first, for an entry without one would never be renewed.
    const [placed] = await Promise.all([
      redis.set(held, host6, "PX", heldMs, "NX"),
      redis.set(leasesMark, "1"),
    ]);
    if (placed === null && (await redis.get(held)) !== host6) return 0;
    if ((await redis.set(key, value, "PX", entryMs, "NX")) === null) {
      const winner = decodeValue((await redis.get(key)) ?? "")?.host6;
      if (placed !== null && winner !== host6) await redis.del(held);
      return 0;
    }
    if (placed === null) await hold();
    return 1;
  }
  const [created, holds] = await both(
    redis
      .multi()
      .set(key, value, "PX", entryMs, "NX")
      .set(held, host6, "PX", heldMs, "NX")
      .set(leasesMark, "1"),
  );
  // Taken back out of quarantine: the record is an old one.
  if (created && !holds) await hold();
  // Somebody's own entry, which nothing needs to hold.
  if (!created && holds) await redis.del(held);
  return created ? 1 : 0;
}

async function both(commands: ChainableCommander): Promise<boolean[]> {
  const replies = (await commands.exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply === "OK";
  });
}

/** MappingStore.renew. Never EXPIRE…GT or …XX, which Redis has since 7 only. */
export async function renewLeased(call: Call, leases: readonly RenewableLease[]): Promise<Renewal[]> {
  const outcomes: Renewal[] = [];
  for (let start = 0; start < leases.length; start += batchSize) {
    const batch = leases.slice(start, start + batchSize);
    outcomes.push(...(await call("PEXPIRE", (redis) => renewAll(redis, batch))));
  }
  return outcomes;
}

/** In a Cluster, one node that is away must not end what the others have. */
async function renewAll(redis: Redis, leases: readonly RenewableLease[]): Promise<Renewal[]> {
  const settled = await Promise.allSettled(leases.map((lease) => renew(redis, lease)));
  const failed = settled.filter((each) => each.status === "rejected");
  if (failed.length === leases.length) throw failed[0]!.reason;
  return settled.map((each) => (each.status === "fulfilled" ? each.value : "unknown"));
}

async function renew(redis: Redis, lease: RenewableLease): Promise<Renewal> {
  const { nat4, host6, entryMs, heldMs, own } = lease;
  const [key, held] = [keyOf(nat4), heldKey(nat4)];
  const [value, leftMs, holder, heldLeftMs] = await Promise.all([
    redis.get(key),
    redis.pttl(key),
    redis.get(held),
    redis.pttl(held),
  ]);
  if (value === null || decodeValue(value)?.host6 !== host6) return "gone";
  if (leftMs < 0 || (holder !== host6 && !(own && holder === null))) return "foreign";
  const [stayed] = await Promise.all([
    leftMs < entryMs ? redis.pexpire(key, entryMs) : 1,
    heldLeftMs < heldMs ? redis.set(held, host6, "PX", heldMs) : undefined,
  ]);
  return stayed === 1 ? "renewed" : "gone";
}

/** MappingStore.records: plain keys with PX. `getKeys` reads any number of keys. */
export function redisRecords(
  call: Call,
  getKeys: (keys: readonly string[]) => Promise<(string | undefined)[]>,
): RecordStore {
  return {
    getMany: getKeys,
    async put(records) {
      for (let start = 0; start < records.length; start += batchSize)
        await call("SET", (redis) =>
          Promise.all(
            records
              .slice(start, start + batchSize)
              .map(({ key, value, lifeMs }) => redis.set(key, value, "PX", lifeMs)),
          ),
        );
    },
    async remove(keys) {
      if (keys.length > 0) await call("DEL", (redis) => Promise.all(keys.map((key) => redis.del(key))));
    },
    async *list(prefix) {
      let cursor = "0";
      do {
        const from = cursor;
        const [next, keys] = await call("SCAN", (redis) =>
          redis.scan(from, "MATCH", `${prefix}*`, "COUNT", scanCount),
        );
        const values = await getKeys(keys);
        for (const [index, key] of keys.entries()) {
          const value = values[index];
          if (value !== undefined) yield [key, value];
        }
        cursor = next;
      } while (cursor !== "0");
    },
  };
}
