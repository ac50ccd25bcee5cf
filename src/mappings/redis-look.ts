import type { Redis } from "ioredis";

/** What a server says of itself (INFO). */
export interface ServerLook {
  readonly mode: string;
  readonly primary: boolean;
  readonly loading: boolean;
  /** Replicas that follow closely: not those that still copy, or don't answer. */
  readonly replicas: number;
  /** Another text: another server, process or line of replication; what was written before may be lost. */
  readonly lineage: string;
}

/** A replica confirms each second how far it is. */
const maxLagS = 10;

/** Undefined: the server's access list refuses INFO. Rejects when the connection fails. */
export async function lookAt(redis: Redis): Promise<ServerLook | undefined> {
  try {
    return readInfo(await redis.info());
  } catch (error) {
    if (error instanceof Error && error.name === "ReplyError") return undefined;
    throw error;
  }
}

export function readInfo(info: string): ServerLook {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1];
  return {
    mode: field("redis_mode") ?? "standalone",
    primary: field("role") !== "slave",
    loading: field("loading") === "1" || field("async_loading") === "1",
    replicas: [...info.matchAll(/^slave\d+:.*\bstate=online,offset=(\d+),lag=(\d+)/gm)].filter(
      // 0 of more: it has not confirmed anything yet.
      ([, offset, lag]) => (offset !== "0" || field("master_repl_offset") === "0") && Number(lag) <= maxLagS,
    ).length,
    lineage: `${field("run_id")}/${field("master_replid")}`,
  };
}

export type Wanted = "single" | "sentinel" | "cluster";

/** Why a server is not to be used; undefined: it is fine, or doesn't say. */
export function objection(look: ServerLook | undefined, wanted: Wanted): string | undefined {
  if (look === undefined) return undefined;
  if (look.mode === "sentinel") return "it is a sentinel (redis+sentinel://HOST/PRIMARY)";
  if (look.mode === "cluster" && wanted !== "cluster") return "it is a node of a cluster (redis+cluster://)";
  if (look.mode !== "cluster" && wanted === "cluster") return "it is no node of a cluster (redis://)";
  if (look.loading) return "it loads its data";
  if (wanted === "sentinel" && !look.primary)
    return "it is a replica, though a sentinel names it as the primary";
  return undefined;
}
