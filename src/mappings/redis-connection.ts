import { Redis, type RedisOptions } from "ioredis";
import { callBudgetMs, unavailable, within } from "./deadline.ts";
import type { RedisDialer } from "./redis-dial.ts";
import { follow, noFollowers } from "./redis-followers.ts";
import { lookAt, objection, type ServerLook, type Wanted } from "./redis-look.ts";
import type { StoreState } from "./store-state.ts";

/** A connection to one server: opened at once, reopened by itself for ever. */
export interface RedisConnection {
  /**
   * Runs one command on a ready connection, waiting for one if need be, all within `budgetMs`. A command is sent at most
   * once: a SETNX or DEL repeated behind our back could undo what an operator did in between.
   */
  call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number): Promise<T>;
  connected(): boolean;
  /** Why it is not connected; undefined while it is. */
  problem(): string | undefined;
  /** What the server said of itself a second ago at most; undefined: nothing yet, or its access list refuses INFO. */
  look(): ServerLook | undefined;
  /** How many replicas it has, or had a moment ago: one that is just being replaced loses them first. */
  followers(): number;
  close(): void;
}

export interface ConnectionParts {
  /** For errors. */
  readonly name: string;
  readonly dialer: RedisDialer;
  readonly state: StoreState;
  readonly wanted: Wanted;
  /** The server was not what it should be: ask another one where to go. */
  misled?(): void;
}

const heartbeatMs = 1000;
const loadingLookMs = 100;
/** One URL may lead to a replica for good, or to another server soon. */
const redialReplicaMs = 10_000;
const maxWaiting = 10_000;

/** By default ioredis queues, resends and waits without end; every line here takes one such wait away. */
export function redisOptions({ Connector }: RedisDialer) {
  return {
    Connector,
    connectionName: "egress46",
    disableClientInfo: true,
    // No HELLO, which an access list may lack; nothing here needs RESP3.
    protocol: 2,
    // We look ourselves, see below; ioredis complains on the console where INFO is not allowed.
    enableReadyCheck: false,
    commandTimeout: callBudgetMs,
    // A socket that owes an answer for so long is given up: that is how a stopped server or a dead path shows.
    socketTimeout: 1000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
  } satisfies RedisOptions;
}

/** True when the server itself said no (so the command certainly had no effect). */
export function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === "ReplyError";
}

export function connectRedis({ name, dialer, state, wanted, misled }: ConnectionParts): RedisConnection {
  let failures = 0;
  let redialMs = 0;
  const redis = new Redis({
    ...redisOptions(dialer),
    // Each call has its own, see below.
    commandTimeout: undefined,
    // After a failover the old primary, now a replica, refuses writes: reconnect to reach the new one.
    reconnectOnError(error) {
      const now = performance.now();
      if (!error.message.startsWith("READONLY") || now < redialMs) return false;
      redialMs = now + (wanted === "single" ? redialReplicaMs : 0);
      return true;
    },
    retryStrategy: () => Math.min(++failures * 100, 1000),
  });
  const waiting = new Set<() => void>();
  let lastError: string | undefined;
  let closed = false;
  let usable = false;
  let look: ServerLook | undefined;
  let lookAgain: NodeJS.Timeout | undefined;
  let following = noFollowers;

  function abandon(reason: string): void {
    lastError = reason;
    redis.disconnect(true);
  }

  /** On a new connection, and then each second: whether the server is what it should be. */
  async function examine(): Promise<void> {
    clearTimeout(lookAgain);
    const { stream } = redis;
    try {
      // A look is a heartbeat, too; who may not look has its answer all the same.
      look = await lookAt(redis);
    } catch (error) {
      if (stream === redis.stream && redis.status === "ready") abandon((error as Error).message);
      return;
    }
    if (stream !== redis.stream || redis.status !== "ready") return;
    following = follow(following, look, performance.now());
    const reason = objection(look, wanted);
    lookAgain = setTimeout(examine, look?.loading ? loadingLookMs : heartbeatMs).unref();
    if (reason === undefined) admit();
    else if (look?.loading) {
      usable = false;
      state.failed(reason);
    } else {
      misled?.();
      abandon(reason);
    }
  }

  function admit(): void {
    if (usable || closed) return;
    usable = true;
    failures = 0;
    lastError = undefined;
    state.recovered();
    for (const wake of waiting) wake();
  }

  redis.on("ready", () => void examine());
  redis.on("error", (error: Error) => {
    lastError = error.message;
  });
  redis.on("close", () => {
    usable = false;
    clearTimeout(lookAgain);
    if (!closed) state.failed(lastError ?? "the connection was closed");
  });

  function problem(): string | undefined {
    if (!usable) return state.problem() ?? `waits for ${dialer.waitsFor()}`;
    return wanted === "single" && look?.primary === false
      ? "it is a replica, which takes no new mappings"
      : undefined;
  }

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
    writeTogether(redis);
    return await within(endMs - performance.now(), text, command(redis));
  }

  return {
    call,
    connected: () => !closed && usable,
    problem: () => (closed ? "the store is closed" : problem()),
    look: () => look,
    followers: () => following.replicas,
    close() {
      closed = true;
      clearTimeout(lookAgain);
      redis.disconnect();
      for (const wake of waiting) wake();
    },
  };
}

/** What is called in one turn of the event loop goes out in one write. */
function writeTogether({ stream }: Redis): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}
