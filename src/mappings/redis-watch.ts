import { Redis } from "ioredis";
import { keyPrefix, nat4OfKey } from "./codec.ts";
import { isReplyError, redisOptions } from "./redis-connection.ts";
import { lookAt } from "./redis-look.ts";
import type { RedisNode } from "./redis-node.ts";
import type { StoreListener } from "./store.ts";

const heartbeatMs = 1000;
const batchSize = 500;

/** What these addresses have now: text, or undefined = no key. */
export type ReadValues = (nat4s: readonly string[]) => Promise<(string | undefined)[]>;

/**
 * One connection's life of server-assisted invalidation (CLIENT TRACKING, broadcasting mode): calls resync when it is in
 * place, then reports each change. Resolves "lost" when the connection ends or the signal aborts, "refused" when this
 * server or its access list doesn't allow tracking. Never CONFIG SET, which managed servers refuse.
 */
export async function trackChanges(
  node: RedisNode,
  read: ReadValues,
  listener: StoreListener,
  signal: AbortSignal,
): Promise<"lost" | "refused"> {
  // ioredis does not surface RESP3 pushes; with RESP2 the connection redirects its invalidations to itself as messages.
  // Tracking and subscription thus live and die with one socket: neither can fail silently while the other lasts.
  const redis = new Redis({
    ...redisOptions(node.dialer),
    lazyConnect: true,
    retryStrategy: () => null,
  });
  const drop = () => redis.disconnect();
  redis.on("error", () => {});
  signal.addEventListener("abort", drop, { once: true });
  const heartbeat = setInterval(() => {
    if (redis.status === "ready") redis.ping().catch(drop);
  }, heartbeatMs);
  try {
    if (signal.aborted) return "lost";
    const ended = new Promise<void>((resolve) => redis.once("end", () => resolve()));
    await redis.connect();
    if (node.objection(await lookAt(redis)) !== undefined) return "lost";
    const report = reporter(read, listener, drop);
    redis.on("messageBuffer", (_channel: Buffer, keys: unknown) => report(keys));
    const id = String(await redis.client("ID"));
    await redis.call("CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", keyPrefix);
    await redis.subscribe("__redis__:invalidate");
    listener.resync();
    await ended;
    return "lost";
  } catch (error) {
    return isReplyError(error) && redis.status === "ready" ? "refused" : "lost";
  } finally {
    clearInterval(heartbeat);
    signal.removeEventListener("abort", drop);
    drop();
  }
}

/** Turns invalidated keys into `changed` calls, one batch of reads at a time, so that the newest value comes last. */
export function reporter(read: ReadValues, listener: StoreListener, giveUp: () => void) {
  let pending = new Set<string>();
  let busy = false;

  async function drain(): Promise<void> {
    busy = true;
    while (pending.size > 0) {
      const all = [...pending];
      // Not emptied: see dns/id-table.ts.
      pending = new Set(all.slice(batchSize));
      const batch = all.slice(0, batchSize);
      const values = await read(batch);
      batch.forEach((nat4, index) => {
        listener.changed(nat4, values[index]);
      });
    }
    busy = false;
  }

  return (keys: unknown): void => {
    // FLUSHALL and FLUSHDB invalidate everything at once, said by null.
    if (!Array.isArray(keys)) listener.resync();
    else
      for (const key of keys) {
        const nat4 = nat4OfKey(String(key));
        if (nat4 !== undefined) pending.add(nat4);
      }
    // A read that failed is a change not reported: a new session begins with a resync.
    if (!busy && pending.size > 0) drain().catch(giveUp);
  };
}
