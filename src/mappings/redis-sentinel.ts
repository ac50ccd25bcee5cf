import { Redis } from "ioredis";
import type { Logger } from "../log.ts";
import { redisOptions } from "./redis-connection.ts";
import { createDialer, type RedisDialer, type RedisTarget } from "./redis-dial.ts";
import type { Endpoint, RedisPlace } from "./redis-url.ts";

export interface SentinelParts {
  readonly place: RedisPlace;
  /** How to reach an endpoint with these credentials. */
  readonly targetOf: (endpoint: Endpoint, login: RedisPlace["login"]) => RedisTarget;
  readonly log: Logger;
}

export interface Sentinels {
  /** Leads to the primary that the sentinels name. */
  readonly dialer: RedisDialer;
  /** What was named is no primary: ask another sentinel. */
  misled(): void;
  close(): void;
}

/** Of one sentinel; with three of them, two mute, a primary is still found within a second. */
const askMs = 400;
const lookMs = 1000;

/**
 * Sentinels as a way to the primary: asked in turn until one answers, each time a connection is made. And each second,
 * so that connections to a former primary end which is out of the sentinels' sight, but not of ours.
 */
export function followSentinels({ place, targetOf, log }: SentinelParts): Sentinels {
  const sentinels = place.hosts.map((host) =>
    createSentinel(host, place, targetOf(host, { ...place.sentinelLogin, db: 0 }), log),
  );
  let first = 0;
  let named: Endpoint | undefined;

  async function locate(): Promise<Endpoint> {
    const reasons: string[] = [];
    for (let index = 0; index < sentinels.length; index++) {
      const sentinel = sentinels[(first + index) % sentinels.length]!;
      try {
        const endpoint = await sentinel.ask();
        first = (first + index) % sentinels.length;
        return endpoint;
      } catch (error) {
        reasons.push(`${sentinel.name}: ${(error as Error).message}`);
      }
    }
    throw new Error(`no sentinel names the primary '${place.primary}' (${reasons.join("; ")})`);
  }

  const dialer = createDialer(
    place.name,
    async () => {
      named = await locate();
      return targetOf(named, place.login);
    },
    log,
  );
  let looking = false;
  const look = setInterval(async () => {
    if (looking || named === undefined) return;
    looking = true;
    const before = named;
    // Sentinels that are away change nothing.
    const now = await locate().catch(() => before);
    looking = false;
    if (before === named && (now.host !== before.host || now.port !== before.port))
      dialer.drop(`the sentinels name another primary: ${now.host}:${now.port}`);
  }, lookMs).unref();

  return {
    dialer,
    misled: () => void first++,
    close() {
      clearInterval(look);
      for (const sentinel of sentinels) sentinel.close();
    },
  };
}

/** One sentinel, its connection kept from question to question. */
function createSentinel({ host, port }: Endpoint, place: RedisPlace, target: RedisTarget, log: Logger) {
  const name = `${host}:${port}`;
  const dialer = createDialer(name, () => target, log);
  let session: { readonly redis: Redis; readonly ready: Promise<void> } | undefined;

  function connect() {
    const redis = new Redis({ ...redisOptions(dialer), lazyConnect: true, retryStrategy: () => null });
    let reason: Error | undefined;
    redis.on("error", (error: Error) => {
      reason = error;
    });
    redis.once("end", () => {
      if (session?.redis === redis) session = undefined;
    });
    const ready = redis.connect().catch((error) => {
      throw reason ?? error;
    });
    session = { redis, ready };
    return session;
  }

  async function question(): Promise<Endpoint> {
    const { redis, ready } = session ?? connect();
    await ready;
    const answer = await redis.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", place.primary).catch((error) => {
      throw /unknown command/i.test(error.message) ? new Error("it is no sentinel") : error;
    });
    if (!Array.isArray(answer)) throw new Error("it knows no primary of that name");
    return { host: String(answer[0]), port: Number(answer[1]) };
  }

  return {
    name,
    async ask(): Promise<Endpoint> {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`no answer within ${askMs} ms (waits for ${dialer.waitsFor()})`));
          session?.redis.disconnect();
        }, askMs);
      });
      const asked = question();
      asked.catch(() => {});
      return await Promise.race([asked, late]).finally(() => clearTimeout(timer));
    },
    close: () => session?.redis.disconnect(),
  };
}
