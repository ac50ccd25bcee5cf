import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "../log.ts";
import { callBudgetMs, unavailable, within } from "./deadline.ts";
import type { RedisDialer } from "./redis-dial.ts";
import { createStoreState } from "./store-state.ts";

/** The command connection: opened at once, reopened by itself for ever. */
export interface RedisConnection {
  /**
   * Runs one command on a ready connection, waiting for one if need be, all within `budgetMs`. A command is sent at most
   * once: a SETNX or DEL repeated behind our back could undo what an operator did in between.
   */
  call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number): Promise<T>;
  connected(): boolean;
  /** Why it is not connected; undefined while it is. */
  problem(): string | undefined;
  close(): void;
}

const heartbeatMs = 1000;
const maxWaiting = 10_000;

/** By default ioredis queues, resends and waits without end; every line here takes one such wait away. */
export function redisOptions({ Connector }: RedisDialer) {
  return {
    Connector,
    connectionName: "egress46",
    disableClientInfo: true,
    commandTimeout: callBudgetMs,
    // A socket that owes an answer for so long is given up: that is how a stopped server or a dead path shows.
    socketTimeout: 1000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // After a failover the old primary, now a replica, refuses writes: reconnect to reach the new one.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  } satisfies RedisOptions;
}

/** True when the server itself said no (so the command certainly had no effect). */
export function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}

export function connectRedis(name: string, dialer: RedisDialer, log: Logger): RedisConnection {
  const redis = new Redis({
    ...redisOptions(dialer),
    retryStrategy: (times) => Math.min(times * 100, 1000),
  });
  const state = createStoreState(name, { failed: "is away", recovered: "is back" }, log);
  const waiting = new Set<() => void>();
  let lastError: string | undefined;
  let closed = false;
  let usable = false;

  redis.on("ready", () => {
    usable = true;
    lastError = undefined;
    state.recovered();
    for (const wake of waiting) wake();
  });
  redis.on("error", (error: Error) => {
    lastError = error.message;
  });
  redis.on("close", () => {
    usable = false;
    if (!closed) state.failed(lastError ?? "the connection was closed");
  });
  const heartbeat = setInterval(() => {
    if (usable) redis.ping().catch(() => {});
  }, heartbeatMs).unref();

  const problem = () => (usable ? undefined : (state.problem() ?? `waits for ${dialer.waitsFor()}`));

  async function ready(budgetMs: number, text: string): Promise<void> {
    if (closed) throw unavailable(text, "the store is closed");
    if (usable) return;
    if (waiting.size >= maxWaiting) throw unavailable(text, `${maxWaiting} calls wait for it already`);
    let wake = () => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    waiting.add(wake);
    await within(budgetMs, text, woken)
      .catch(() => {
        throw unavailable(text, problem());
      })
      .finally(() => waiting.delete(wake));
  }

  async function call<T>(
    what: string,
    command: (redis: Redis) => Promise<T>,
    budgetMs = callBudgetMs,
  ): Promise<T> {
    const text = `${name}: ${what}`;
    const endMs = performance.now() + budgetMs;
    await ready(budgetMs, text);
    return await within(endMs - performance.now(), text, command(redis));
  }

  return {
    call,
    connected: () => !closed && usable,
    problem: () => (closed ? "the store is closed" : problem()),
    close() {
      closed = true;
      clearInterval(heartbeat);
      redis.disconnect();
      for (const wake of waiting) wake();
    },
  };
}
