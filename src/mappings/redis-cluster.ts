import type { Redis } from "ioredis";
import { callBudgetMs, sleep, unavailable, within } from "./deadline.ts";
import { type ClusterRoute, clusterClient } from "./redis-cluster-client.ts";
import { isReplyError } from "./redis-connection.ts";
import type { RedisNode, RedisNodes } from "./redis-node.ts";
import { readRedirection, readSlots, slotCount, slotOf } from "./redis-slots.ts";
import type { Endpoint } from "./redis-url.ts";
import type { StoreState } from "./store-state.ts";

export interface ClusterParts {
  readonly name: string;
  /** Nodes to learn the others from. */
  readonly seeds: readonly Endpoint[];
  readonly open: (endpoint: Endpoint, state: StoreState) => RedisNode;
  /** Of the cluster as a whole: away as long as a primary is. */
  readonly state: StoreState;
}

interface Member {
  readonly endpoint: Endpoint;
  readonly state: StoreState;
  readonly node: RedisNode;
}

const refreshMs = 1000;
const retryMs = 50;
const askMs = 500;

/**
 * A Redis Cluster: commands go to the primary of their key's slot and follow MOVED and ASK, within their time. A command
 * that may have been carried out is never sent again. ioredis' own Cluster does that, and has no place for our dialer.
 */
export function openCluster({ name, seeds, open, state }: ClusterParts): RedisNodes {
  const members = new Map<string, Member>();
  const listeners = new Set<() => void>();
  let slots = noSlots();
  /** The first slot that nobody has. */
  let orphan = 0;
  let primaries: readonly string[] = [];
  let refreshing: Promise<void> | undefined;
  let closed = false;
  const closing = new AbortController();

  const keyOf = ({ host, port }: Endpoint) => `${host}:${port}`;
  const seedKeys = new Set(seeds.map(keyOf));

  function member(endpoint: Endpoint): Member {
    const key = keyOf(endpoint);
    let found = members.get(key);
    if (found === undefined) {
      const own = memberState();
      found = { endpoint, state: own, node: open(endpoint, own) };
      members.set(key, found);
    }
    return found;
  }

  /** A primary's troubles are the cluster's; those of other nodes are of no interest. */
  function memberState(): StoreState {
    let problem: string | undefined;
    return {
      problem: () => problem,
      failed(reason) {
        problem = reason;
        queueMicrotask(note);
      },
      recovered() {
        problem = undefined;
        queueMicrotask(note);
      },
    };
  }

  function trouble(): string | undefined {
    if (closed) return "the store is closed";
    const looked = primaries.length > 0 ? primaries : [...seedKeys];
    for (const key of looked) {
      const reason = members.get(key)?.node.problem();
      if (reason !== undefined) return `${key}: ${reason}`;
    }
    if (primaries.length === 0) return "waits for the cluster's slots";
    return orphan < 0 ? undefined : `no node has slot ${orphan} (cluster down)`;
  }

  /** What is only just being connected to is no failure yet. */
  function note(): void {
    if (closed) return;
    const reason = trouble();
    if (reason === undefined) {
      state.recovered();
      return;
    }
    const looked = primaries.length > 0 ? primaries : [...seedKeys];
    if (
      looked.some((key) => members.get(key)?.state.problem() !== undefined) ||
      (primaries.length > 0 && orphan >= 0)
    )
      state.failed(reason);
  }

  async function refresh(): Promise<void> {
    const connected = [...members.values()].filter(({ node }) => node.connected());
    // Whoever answered last time may be on the wrong side of a partition by now.
    for (const { endpoint, node } of rotated(connected)) {
      try {
        const reply = await node.call("CLUSTER SLOTS", (redis) => redis.call("CLUSTER", "SLOTS"), askMs);
        return take(readSlots(reply, endpoint));
      } catch {}
    }
  }

  let turn = 0;
  function rotated<T>(all: readonly T[]): T[] {
    const start = turn++ % Math.max(all.length, 1);
    return [...all.slice(start), ...all.slice(0, start)];
  }

  function take(ranges: ReturnType<typeof readSlots>): void {
    if (closed || ranges.length === 0) return;
    slots = noSlots();
    for (const { first, last, primary } of ranges) slots.fill(keyOf(primary), first, last + 1);
    orphan = slots.indexOf(undefined);
    const wanted = new Map(ranges.map(({ primary }) => [keyOf(primary), primary]));
    for (const endpoint of wanted.values()) member(endpoint);
    for (const [key, { node }] of members)
      if (!wanted.has(key) && !seedKeys.has(key)) {
        members.delete(key);
        node.close();
      }
    const before = primaries;
    primaries = [...wanted.keys()].sort();
    note();
    if (before.join() !== primaries.join()) for (const listener of listeners) listener();
  }

  function refreshSoon(): Promise<void> {
    refreshing ??= refresh().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  /** The node of a slot once it can be used; a failover gives the slot to another one meanwhile. */
  async function usable(slot: number, endMs: number, text: string): Promise<Member> {
    for (;;) {
      const found = members.get(slots[slot] ?? "");
      if (found?.node.connected()) return found;
      if (closed || performance.now() > endMs) throw unavailable(text, trouble() ?? "no node has the slot");
      await Promise.race([refreshSoon(), sleep(retryMs, closing.signal)]);
      await sleep(retryMs, closing.signal);
    }
  }

  const route: ClusterRoute = {
    primaries: () => primaries,
    nodeOf: (key) => members.get(slots[slotOf(key)] ?? "")?.node,
    node: (key) => members.get(key)?.node,
    async run(what, key, command, { endMs, replicated }) {
      const text = `${name}: ${what}`;
      const slot = slotOf(key);
      let asking: Endpoint | undefined;
      for (;;) {
        const { node, endpoint } = asking === undefined ? await usable(slot, endMs, text) : member(asking);
        const leftMs = Math.max(endMs - performance.now(), 1);
        const run = replicated ? node.replicated : node.call;
        const isAsked = asking !== undefined;
        asking = undefined;
        try {
          return await run(what, isAsked ? (redis) => afterAsking(redis, command) : command, leftMs);
        } catch (error) {
          const refusal = (error as Error).cause;
          if (!isReplyError(refusal) || performance.now() > endMs) throw error;
          const redirection = readRedirection(refusal.message, endpoint);
          if (redirection?.kind === "ASK") asking = redirection.to;
          else if (redirection?.kind === "MOVED") {
            slots[slot] = keyOf(member(redirection.to).endpoint);
            void refreshSoon();
          } else if (/^(CLUSTERDOWN|TRYAGAIN|LOADING|READONLY)/.test(refusal.message)) {
            void refreshSoon();
            await sleep(retryMs, closing.signal);
          } else throw error;
        }
      }
    },
  };

  function runner(replicated: boolean) {
    return async <T>(
      what: string,
      command: (redis: Redis) => Promise<T>,
      budgetMs = callBudgetMs,
    ): Promise<T> => {
      const text = `${name}: ${what}`;
      if (closed) throw unavailable(text, "the store is closed");
      // A reason that is known comes before the time is up.
      const endMs = performance.now() + budgetMs - 2 * retryMs;
      return await within(budgetMs, text, command(clusterClient(route, what, { endMs, replicated })));
    };
  }

  for (const seed of seeds) member(seed);
  const timer = setInterval(refreshSoon, refreshMs).unref();
  const first = setInterval(
    () => (primaries.length > 0 ? clearInterval(first) : refreshSoon()),
    retryMs,
  ).unref();

  return {
    name,
    call: runner(false),
    replicated: runner(true),
    connected: () => trouble() === undefined,
    problem: trouble,
    primaries: () => primaries.flatMap((key) => members.get(key)?.node ?? []),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      closed = true;
      closing.abort();
      clearInterval(timer);
      clearInterval(first);
      for (const { node } of members.values()) node.close();
    },
  };
}

function noSlots(): (string | undefined)[] {
  return new Array(slotCount).fill(undefined);
}

/** Written one right behind the other: ASKING counts for the next command of the connection. */
function afterAsking<T>(redis: Redis, command: (redis: Redis) => Promise<T>): Promise<T> {
  redis.asking().catch(() => {});
  return command(redis);
}
