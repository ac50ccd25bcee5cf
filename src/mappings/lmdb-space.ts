import { statfsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../log.ts";
import { sleep } from "./deadline.ts";
import { createStoreState } from "./store-state.ts";

/** What one commit may need. With less free, LMDB isn't even asked: it would print its own complaint. */
const leastFree = 16_384;
const probeMs = 1000;

/** Whether an LMDB folder can be written to. */
export interface WriteGate {
  /** Why not; undefined while it can. Cheap. */
  problem(): string | undefined;
  /** The same after a look at the file system. */
  check(): string | undefined;
  /** A commit failed: no further one is tried until a file of a commit's size can be written there. */
  failed(reason: string): void;
  close(): void;
}

export function createWriteGate(dir: string, name: string, log: Logger): WriteGate {
  const state = createStoreState(
    name,
    { failed: "cannot be written", recovered: "can be written again" },
    log,
  );
  const closing = new AbortController();
  let probing = false;

  function failed(reason: string): void {
    state.failed(reason);
    if (!probing) void probe();
  }

  async function probe(): Promise<void> {
    probing = true;
    for (let problem: string | undefined = ""; problem !== undefined; ) {
      await sleep(probeMs, closing.signal);
      if (closing.signal.aborted) return;
      problem = lacksSpace(dir) ?? (await refusesFile(dir));
      if (problem !== undefined) state.failed(problem);
    }
    probing = false;
    state.recovered();
  }

  return {
    problem: state.problem,
    check() {
      const lacking = state.problem() === undefined ? lacksSpace(dir) : undefined;
      if (lacking !== undefined) failed(lacking);
      return state.problem();
    },
    failed,
    close: () => closing.abort(),
  };
}

function lacksSpace(dir: string): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize < leastFree ? "no space left on the file system" : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function refusesFile(dir: string): Promise<string | undefined> {
  const probe = join(dir, "probe.mdb");
  try {
    await writeFile(probe, Buffer.alloc(leastFree), { flush: true });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
}
