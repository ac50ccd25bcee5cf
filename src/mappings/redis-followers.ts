import type { ServerLook } from "./redis-look.ts";

/** How many replicas may take a server's place, as seen by one look after another. */
export interface Following {
  readonly lineage: string;
  /** So many must have a claim. */
  readonly replicas: number;
  /** Ever, in this lineage. */
  readonly most: number;
  /** performance.now() when there were so many, or more. */
  readonly seenMs: number;
}

export const noFollowers: Following = { lineage: "", replicas: 0, most: 0, seenMs: 0 };

const followedMs = 5000;
const cutOffMs = 60_000;

/**
 * Fewer than before count only after a while, for a server that is being replaced loses its replicas first. One that loses
 * all of several is rather cut off itself than left by each of them: sentinels, or the others of a cluster, find a new
 * primary well within the longer time, and then the way leads there.
 */
export function follow(before: Following, look: ServerLook | undefined, nowMs: number): Following {
  const { lineage = "", replicas = 0 } = look ?? {};
  const same = lineage === before.lineage;
  const patienceMs = replicas === 0 && before.most > 1 ? cutOffMs : followedMs;
  if (same && replicas < before.replicas && nowMs <= before.seenMs + patienceMs) return before;
  return { lineage, replicas, most: Math.max(replicas, same ? before.most : 0), seenMs: nowMs };
}
