import { Redis } from "ioredis";
import type { Logger } from "../log.ts";
import { keyPrefix } from "./codec.ts";
import { sleep } from "./deadline.ts";
import { type PollSource, pollChanges } from "./poll-watch.ts";
import { redisOptions } from "./redis-connection.ts";
import type { RedisNode, RedisNodes } from "./redis-node.ts";
import { type ReadValues, reporter, trackChanges } from "./redis-watch.ts";
import type { StoreListener } from "./store.ts";

const pollMs = 400;
/** What key events don't tell of: FLUSHALL, and that they have been switched off. */
const pollBesideEventsMs = 5000;
/** After so long without tracking it is tried again (the server may have been upgraded, or its rules mended). */
const retryTrackingMs = 60_000;
const reconnectMs = 200;

export interface FollowParts {
  readonly nodes: RedisNodes;
  readonly read: ReadValues;
  readonly list: PollSource["list"];
  readonly log: Logger;
}

/**
 * Follows the changes on every primary: by CLIENT TRACKING, else by key events where the server sends them already, else
 * by looking again and again. Resync is called when all are followed, and again after each gap.
 */
export async function followChanges(
  parts: FollowParts,
  listener: StoreListener,
  signal: AbortSignal,
): Promise<void> {
  const { nodes, log } = parts;
  while (!signal.aborted) {
    const refused = new AbortController();
    await trackAll(parts, listener, AbortSignal.any([signal, refused.signal]), () => refused.abort());
    if (signal.aborted) return;
    const without = AbortSignal.any([signal, AbortSignal.timeout(retryTrackingMs)]);
    const events = await eventSources(parts);
    const instead = events ? "following key events" : "looking for changes by SCAN";
    log.info(`mapping store ${nodes.name} refuses CLIENT TRACKING: ${instead} instead`);
    const source = { intervalMs: events ? pollBesideEventsMs : pollMs, list: parts.list };
    for (const node of events ?? []) void followEvents(node, parts.read, listener, without);
    // Its resync is the first; a gap in the events shows at its next look.
    await pollChanges(source, listener, without);
  }
}

/** Until the signal aborts; `refused` is called when a server doesn't allow tracking. */
async function trackAll(
  { nodes, read }: FollowParts,
  listener: StoreListener,
  signal: AbortSignal,
  refused: () => void,
): Promise<void> {
  const tracked = new Map<RedisNode, { inPlace: boolean; readonly end: AbortController }>();
  const sessions: Promise<void>[] = [];

  function inPlace(): void {
    if ([...tracked.values()].every((session) => session.inPlace)) listener.resync();
  }

  async function keep(node: RedisNode, end: AbortController): Promise<void> {
    const own = AbortSignal.any([signal, end.signal]);
    const session = { inPlace: false, end };
    tracked.set(node, session);
    const relay: StoreListener = {
      changed: listener.changed,
      resync() {
        session.inPlace = true;
        inPlace();
      },
    };
    while (!own.aborted) {
      const outcome = await trackChanges(node, read, relay, own);
      session.inPlace = false;
      if (outcome === "refused" && !own.aborted) refused();
      await sleep(reconnectMs, own);
    }
  }

  function adjust(): void {
    const wanted = new Set(nodes.primaries());
    for (const [node, { end }] of tracked)
      if (!wanted.has(node)) {
        end.abort();
        tracked.delete(node);
      }
    for (const node of wanted) if (!tracked.has(node)) sessions.push(keep(node, new AbortController()));
  }

  const stop = nodes.onChange(() => {
    adjust();
    // A primary that is gone leaves no gap of its own; what took over its keys was followed already, perhaps.
    if (tracked.size > 0) inPlace();
  });
  adjust();
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  stop();
  await Promise.all(sessions);
}

/** All primaries, if each of them sends key events. */
async function eventSources({ nodes }: FollowParts): Promise<readonly RedisNode[] | undefined> {
  const all = nodes.primaries();
  const sent = await Promise.all(all.map((node) => sendsEvents(node)));
  return all.length === 0 || sent.includes(false) ? undefined : all;
}

/** Whether it is configured so already: never CONFIG SET, which changes the server for everybody. */
async function sendsEvents(node: RedisNode): Promise<boolean> {
  try {
    const reply = await node.call("CONFIG GET", (redis) =>
      redis.call("CONFIG", "GET", "notify-keyspace-events"),
    );
    const flags = Array.isArray(reply) ? String(reply[1]) : "";
    return (
      flags.includes("K") &&
      (flags.includes("A") || ["g", "$", "x", "e"].every((flag) => flags.includes(flag)))
    );
  } catch {
    return false;
  }
}

async function followEvents(
  node: RedisNode,
  read: ReadValues,
  listener: StoreListener,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const redis = new Redis({ ...redisOptions(node.dialer), lazyConnect: true, retryStrategy: () => null });
    const drop = () => redis.disconnect();
    redis.on("error", () => {});
    signal.addEventListener("abort", drop, { once: true });
    const heartbeat = setInterval(() => {
      if (redis.status === "ready") redis.ping().catch(drop);
    }, 1000);
    try {
      const ended = new Promise<void>((resolve) => redis.once("end", () => resolve()));
      await redis.connect();
      const report = reporter(read, listener, drop);
      redis.on("pmessage", (_pattern, channel: string) => report([channel.slice(channel.indexOf(":") + 1)]));
      await redis.psubscribe(`__keyspace@*__:${keyPrefix}*`);
      await ended;
    } catch {
    } finally {
      clearInterval(heartbeat);
      signal.removeEventListener("abort", drop);
      drop();
    }
    await sleep(reconnectMs, signal);
  }
}
