import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import { sleep } from "./deadline.ts";
import type { StoreListener } from "./store.ts";

export interface PollSource {
  /** Least pause between two looks. A look that takes long stretches the pause, so that it costs ≤ a fifth of a core. */
  readonly intervalMs: number;
  /** Equal numbers = nothing was written in between. No listing that begins later may be older. Absent: every look lists. */
  version?(): number | Promise<number>;
  /**
   * What the store has answered to others of this process since the last call; undefined = not there. Who believed it must
   * hear when it ceased to be so, even between two looks.
   */
  told?(): ReadonlyMap<string, string | undefined>;
  /**
   * Whether all that was written after the one version, up to the other, is among what told() has: then these addresses are
   * read with `get`, and nothing is listed for a while. It may be wrong about what others write at the same time as we do.
   * Needs version, told and get.
   */
  onlyTold?(after: number, upTo: number): boolean;
  get?(nat4: string): string | undefined;
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

/** FNV-1a over both halves of 52 bits: what is kept of a value that nobody needs but to see that it changed. */
function digest(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let index = 0; index < text.length; index++) {
    low = Math.imul(low ^ text.charCodeAt(index), 0x01000193);
    high = Math.imul(high ^ low, 0x85ebca6b);
  }
  return (low >>> 0) * 0x100000 + (high >>> 12);
}

/** What was told and isn't what the last listing said; -1 = not there. */
function newsIn(told: ReadonlyMap<string, string | undefined>, known: ReadonlyMap<number, number>) {
  const news = new Map<number, number>();
  for (const [text, value] of told) {
    const nat4 = ipv4ToNumber(text) | 0;
    const now = value === undefined ? -1 : digest(value);
    if (now !== (known.get(nat4) ?? -1)) news.set(nat4, now);
  }
  return news;
}

/** Whatever was written, somebody hears of it within a second. */
const listAgainMs = 700;

/** MappingStore.watch for a store that cannot tell of changes: looks again and again, reports the differences. */
export async function pollChanges(
  source: PollSource,
  listener: StoreListener,
  signal: AbortSignal,
): Promise<void> {
  // By address: tens of thousands of them must not cost the memory of their text once more.
  let before: Map<number, number> | undefined;
  let seen: number | undefined;
  let listed: { version: number | undefined; ms: number } = { version: undefined, ms: 0 };
  while (!signal.aborted) {
    const startMs = performance.now();
    try {
      // The version is read first: a write during the listing then shows as a new version at the next look.
      const version = await source.version?.();
      const told = newsIn((before && source.told?.()) ?? new Map(), before ?? new Map());
      const { get, onlyTold } = source;
      const soon = version === listed.version || startMs < listed.ms + listAgainMs;
      if (soon && before && get && seen !== undefined && version !== undefined && onlyTold?.(seen, version)) {
        for (const [nat4, said] of told) {
          const value = get(numberToIpv4(nat4));
          const now = value === undefined ? -1 : digest(value);
          if (now !== (before.get(nat4) ?? -1) || now !== said) listener.changed(numberToIpv4(nat4), value);
          if (value === undefined) before.delete(nat4);
          else before.set(nat4, now);
        }
        seen = version;
      } else if (
        before === undefined ||
        version === undefined ||
        version !== listed.version ||
        told.size > 0
      ) {
        const after = new Map<number, number>();
        const changed = new Map<number, string>();
        for await (const [text, value] of source.list()) {
          if (signal.aborted) return;
          const nat4 = ipv4ToNumber(text) | 0;
          const now = digest(value);
          if (before !== undefined && (before.get(nat4) !== now || (told.get(nat4) ?? now) !== now))
            changed.set(nat4, value);
          after.set(nat4, now);
        }
        if (before === undefined) listener.resync();
        else {
          for (const [nat4, value] of changed) listener.changed(numberToIpv4(nat4), value);
          for (const nat4 of told.keys()) if (!before.has(nat4)) before.set(nat4, -1);
          for (const nat4 of before.keys())
            if (!after.has(nat4)) listener.changed(numberToIpv4(nat4), undefined);
        }
        before = after;
        seen = version;
        listed = { version, ms: startMs };
      }
    } catch (error) {
      if (!(error instanceof Eg46Error)) throw error;
      before = undefined;
    }
    await sleep(Math.max(source.intervalMs, 4 * (performance.now() - startMs)), signal);
  }
}
