import { Eg46Error } from "../errors.ts";
import { sleep } from "./deadline.ts";
import type { StoreListener } from "./store.ts";

export interface PollSource {
  /** Least pause between two looks. A look that takes long stretches the pause, so that it costs ≤ a fifth of a core. */
  readonly intervalMs: number;
  /** Equal numbers = nothing was written in between. Absent: every look lists. */
  version?(): number;
  list(): AsyncIterable<readonly [nat4: string, value: string]>;
}

/** Entries that differ between two listings; undefined = gone. */
export function* differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Generator<readonly [nat4: string, value: string | undefined]> {
  for (const [nat4, value] of after) if (before.get(nat4) !== value) yield [nat4, value];
  for (const nat4 of before.keys()) if (!after.has(nat4)) yield [nat4, undefined];
}

/** MappingStore.watch for a store that cannot tell of changes: looks again and again, reports the differences. */
export async function pollChanges(
  source: PollSource,
  listener: StoreListener,
  signal: AbortSignal,
): Promise<void> {
  let before: Map<string, string> | undefined;
  let seen: number | undefined;
  while (!signal.aborted) {
    const startMs = performance.now();
    try {
      // The version is read first: a write during the listing then shows as a new version at the next look.
      const version = source.version?.();
      if (before === undefined || version === undefined || version !== seen) {
        const after = new Map<string, string>();
        for await (const [nat4, value] of source.list()) {
          if (signal.aborted) return;
          after.set(nat4, value);
        }
        if (before === undefined) listener.resync();
        else for (const [nat4, value] of differences(before, after)) listener.changed(nat4, value);
        before = after;
        seen = version;
      }
    } catch (error) {
      if (!(error instanceof Eg46Error)) throw error;
      before = undefined;
    }
    await sleep(Math.max(source.intervalMs, 4 * (performance.now() - startMs)), signal);
  }
}
