import type { ConnectionOptions } from "node:tls";
import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "../log.ts";
import { callBudgetMs, unavailable, within } from "./deadline.ts";

/** Where a Redis is and how to get in. `tls` holds PEM texts; its presence means rediss://. */
export interface RedisTarget {
  /** The URL without credentials. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly db: number;
  readonly tls?: Pick<ConnectionOptions, "cert" | "key" | "ca" | "servername"> | undefined;
}

/** The command connection: opened at once, reopened by itself for ever. */
export interface RedisConnection {
  /**
   * Runs one command on a ready connection, waiting for one if need be, all within `budgetMs`. A command is sent at most
   * once: a SETNX or DEL repeated behind our back could undo what an operator did in between.
   */
  call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number): Promise<T>;
  connected(): boolean;
  close(): void;
}

const heartbeatMs = 1000;
const maxWaiting = 10_000;

/** By default ioredis queues, resends and waits without end; every line here takes one such wait away. */
export function redisOptions({ host, port, username, password, db, tls }: RedisTarget) {
  return {
    ...{ host, port, username, password, db },
    ...(tls === undefined ? {} : { tls: { ...tls } }),
    connectionName: "egress46",
    disableClientInfo: true,
    connectTimeout: 1000,
    commandTimeout: callBudgetMs,
    // A socket that owes an answer for so long is given up: that is how a stopped server or a dead path shows.
    socketTimeout: 1000,
    // How long a closing socket waits for the other side's end.
    disconnectTimeout: 200,
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

export function connectRedis(target: RedisTarget, log: Logger): RedisConnection {
  const redis = new Redis({ ...redisOptions(target), retryStrategy: (times) => Math.min(times * 100, 1000) });
  const waiting = new Set<() => void>();
  let lastError = "not connected yet";
  let announcedDown = false;
  let closed = false;
  /** Ready, and in our database: when SELECT fails, ioredis would go on in database 0. */
  let usable = false;
  let selected = true;

  redis.on("connect", () => {
    selected = true;
  });
  redis.on("ready", () => {
    usable = selected;
    if (!usable) return;
    if (announcedDown) log.info({ store: target.name }, "mapping store is back");
    announcedDown = false;
    for (const wake of waiting) wake();
  });
  redis.on("error", (error: Error & { command?: { name: string } }) => {
    if (selected) lastError = error.message;
    if (error.command?.name !== "select") return;
    selected = false;
    redis.disconnect(true);
  });
  redis.on("close", () => {
    usable = false;
    if (announcedDown || closed) return;
    announcedDown = true;
    log.warn(
      { code: "EG46_STORE_UNAVAILABLE", store: target.name, reason: lastError },
      "mapping store is away",
    );
  });
  const heartbeat = setInterval(() => {
    if (usable) redis.ping().catch(() => {});
  }, heartbeatMs).unref();

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
        throw unavailable(text, lastError);
      })
      .finally(() => waiting.delete(wake));
  }

  async function call<T>(
    what: string,
    command: (redis: Redis) => Promise<T>,
    budgetMs = callBudgetMs,
  ): Promise<T> {
    const text = `${target.name}: ${what}`;
    const endMs = performance.now() + budgetMs;
    await ready(budgetMs, text);
    return await within(endMs - performance.now(), text, command(redis));
  }

  return {
    call,
    connected: () => !closed && usable,
    close() {
      closed = true;
      clearInterval(heartbeat);
      redis.disconnect();
      for (const wake of waiting) wake();
    },
  };
}
