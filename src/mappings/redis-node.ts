import type { Redis } from "ioredis";
import { type ConnectionParts, connectRedis, type RedisConnection } from "./redis-connection.ts";
import type { RedisDialer } from "./redis-dial.ts";
import { objection, type ServerLook } from "./redis-look.ts";
import { createReplication, type RedisWait, type Replication } from "./redis-replication.ts";

/** One server, or whichever is the primary now: a connection for commands, and one for those that replicas must have. */
export interface RedisNode extends Omit<RedisConnection, "close"> {
  readonly replicated: Replication["call"];
  /** For connections of the caller's own. */
  readonly dialer: RedisDialer;
  /** Why a server that says this of itself is not the one. */
  objection(look: ServerLook | undefined): string | undefined;
  close(): void;
}

export function openNode(parts: ConnectionParts & { readonly wait: RedisWait }): RedisNode {
  const { name, wait, wanted, dialer } = parts;
  const connection = connectRedis(parts);
  const replication = createReplication(name, wait, connection, () =>
    // Its troubles are the first connection's, which tells of them.
    connectRedis({ ...parts, state: { problem: connection.problem, failed() {}, recovered() {} } }),
  );
  return {
    ...connection,
    dialer,
    replicated: replication.call,
    objection: (look) => objection(look, wanted),
    close() {
      replication.close();
      connection.close();
    },
  };
}

/** Runs commands where their keys are; every one of `nodes` is a primary. */
export interface RedisNodes {
  readonly name: string;
  call<T>(what: string, command: (redis: Redis) => Promise<T>, budgetMs?: number): Promise<T>;
  /** As `call`, for a result that must outlive the server (--redis-wait). */
  replicated: Replication["call"];
  connected(): boolean;
  problem(): string | undefined;
  primaries(): readonly RedisNode[];
  /** Another set of primaries than before; returns how to stop listening. */
  onChange(listener: () => void): () => void;
  close(): void;
}

export function singleNode(name: string, node: RedisNode, close = () => {}): RedisNodes {
  const { call, replicated, connected, problem } = node;
  return {
    ...{ name, call, replicated, connected, problem },
    primaries: () => [node],
    onChange: () => () => {},
    close() {
      close();
      node.close();
    },
  };
}
