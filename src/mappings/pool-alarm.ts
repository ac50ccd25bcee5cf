import type { Logger } from "../log.ts";

/** How full a pool must be to be worth a word, and the word. */
const levels = [
  { share: 0.8, text: "is 80 % used" },
  { share: 0.95, text: "is 95 % used" },
  { share: 1, text: "is exhausted: names that need a new mapping get the sorry IP or SERVFAIL" },
] as const;
/** A level is left only this far below it, or a pool at its edge would be announced over and over. */
const hysteresis = 0.05;

/** Number of levels reached, 0 … 3, coming from `before`. */
export function levelOf(before: number, share: number): number {
  const reached = (spare: number) => levels.filter((level) => share >= level.share - spare).length;
  return Math.max(reached(0), Math.min(before, reached(hysteresis)));
}

export interface PoolUse {
  readonly subnet: string;
  readonly size: number;
  readonly used: number;
  /** A host found every one of its candidates taken. */
  readonly refused: boolean;
}

export interface PoolAlarm {
  /** Logs when a level is reached or all of them are left. */
  look(use: PoolUse | undefined): void;
  /** What the operator should know now. */
  note(): string | undefined;
}

export function createPoolAlarm(log: Logger): PoolAlarm {
  let level = 0;
  let subnet: string | undefined;
  let note: string | undefined;
  return {
    note: () => note,
    look(use) {
      const before = use?.subnet === subnet ? level : 0;
      subnet = use?.subnet;
      level =
        use === undefined ? 0 : levelOf(before, use.refused || use.size === 0 ? 1 : use.used / use.size);
      const text = levels[level - 1]?.text;
      note = use && text && `DNS46 pool ${subnet} ${text} (${use.used} of ${use.size} addresses)`;
      if (level > before) log.warn(note);
      else if (level === 0 && before > 0) log.info(`DNS46 pool ${subnet} has addresses to spare again`);
    },
  };
}
