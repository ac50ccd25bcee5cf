import type { Logger } from "../log.ts";
import { type Conflict, reportConflict } from "./rescue.ts";

/** Conflicts, each told once, however many ways lead to it: a load, the watch, a claim that is refused. */
export interface Conflicts {
  count(): number;
  report(found: Conflict): void;
}

const sameMs = 60_000;
const maxTold = 1000;

export function createConflicts(log: Logger, store: string): Conflicts {
  const told = new Map<number, { readonly hosts: string; readonly ms: number }>();
  let count = 0;
  return {
    count: () => count,
    report(found) {
      const { nat4, host6, holder } = found;
      const [hosts, ms] = [`${host6} ${holder}`, performance.now()];
      const before = told.get(nat4);
      if (before?.hosts === hosts && ms - before.ms < sameMs) return;
      told.delete(nat4);
      told.set(nat4, { hosts, ms });
      for (const oldest of told.keys()) {
        if (told.size <= maxTold) break;
        told.delete(oldest);
      }
      count++;
      reportConflict(log, store, found);
    },
  };
}
