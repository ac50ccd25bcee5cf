import type { Redis } from "ioredis";
import { Eg46Error } from "../errors.ts";
import { callBudgetMs, within } from "./deadline.ts";
import type { RedisConnection } from "./redis-connection.ts";

/** How many replicas must have a claim before it counts. "auto": one if the server has any. */
export type RedisWait = number | "auto" | "off";

export interface Replication {
  /**
   * Runs a command, and waits until the replicas have all that it wrote or read. Rejects with EG46_STORE_UNAVAILABLE
   * when they don't in time ({@link isUnreplicated}): the command had its effect on the server all the same.
   */
  call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number): Promise<T>;
  close(): void;
}

interface Item {
  readonly command: (redis: Redis) => Promise<unknown>;
  readonly copies: number;
  readonly done: (outcome: Promise<unknown>) => void;
}

const waitMs = 250;
const maxBatch = 500;
const unreplicated = Symbol("unreplicated");

export function isUnreplicated(error: unknown): boolean {
  return error instanceof Error && error.cause === unreplicated;
}

/**
 * WAIT holds up its whole connection, so commands that need it have one of their own, opened at the first of them. One
 * WAIT covers everything that its connection did before: what comes meanwhile goes out together with the next one, so
 * that the rate doesn't depend on the way to the replica. `plain` serves where no replica is asked for.
 */
export function createReplication(
  name: string,
  wait: RedisWait,
  plain: RedisConnection,
  open: () => RedisConnection,
): Replication {
  let own: RedisConnection | undefined;
  let closed = false;
  let busy = false;
  let queue: Item[] = [];

  function copiesNow(): number {
    if (wait === "off") return 0;
    if (wait !== "auto") return wait;
    return (own?.look() ?? plain.look())?.replicas ? 1 : 0;
  }

  async function drain(connection: RedisConnection): Promise<void> {
    busy = true;
    while (queue.length > 0) {
      const batch = queue.slice(0, maxBatch);
      queue = queue.slice(maxBatch);
      await connection.call("WAIT", (redis) => send(redis, batch)).catch((error) => fail(batch, error));
    }
    busy = false;
  }

  /** All in one write: commands are written as they are called. */
  async function send(redis: Redis, batch: readonly Item[]): Promise<void> {
    const copies = Math.max(...batch.map((item) => item.copies));
    redis.stream.cork();
    const replies = batch.map(async ({ command }) => await command(redis));
    const reached = redis.wait(copies, waitMs);
    redis.stream.uncork();
    for (const reply of replies) reply.catch(() => {});
    const count = await reached;
    batch.forEach((item, index) => {
      if (count >= item.copies) item.done(replies[index]!);
      // A refusal of the server is more to the point.
      else item.done(replies[index]!.then(() => Promise.reject(lacking(count, item.copies))));
    });
  }

  function lacking(count: number, copies: number): Error {
    const text = `${count} of ${copies} replicas have it after ${waitMs} ms (--redis-wait): it counts once they have`;
    return new Eg46Error("EG46_STORE_UNAVAILABLE", `${name}: ${text}`, { cause: unreplicated });
  }

  function fail(batch: readonly Item[], error: unknown): void {
    for (const item of batch) item.done(Promise.reject(error));
  }

  function call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs = callBudgetMs): Promise<T> {
    const copies = copiesNow();
    if (copies === 0 || closed) return plain.call(what, command, budgetMs);
    own ??= open();
    const connection = own;
    const outcome = new Promise<T>((resolve) => {
      const done = (settled: Promise<unknown>) => {
        // Late outcomes go unobserved, and so does a second one: of a batch that was given up.
        settled.catch(() => {});
        resolve(settled as Promise<T>);
      };
      queue.push({ command, copies, done });
    });
    outcome.catch(() => {});
    // Of one turn of the event loop all go out together.
    if (!busy) queueMicrotask(() => busy || drain(connection));
    return within(budgetMs, `${name}: ${what}`, outcome);
  }

  return {
    call,
    close() {
      closed = true;
      own?.close();
    },
  };
}
