import type { Printer } from "./print.ts";

/** One thing that the lab shows. */
export interface Step {
  readonly title: string;
  /** What to show of it. Throws if it doesn't hold. */
  run(): Promise<readonly string[]>;
}

/**
 * Runs the steps in order up to the first that fails. Resolves to the failed step's title, if any. Once the
 * signal is aborted nothing more is begun or printed.
 */
export async function runSteps(
  steps: readonly Step[],
  printer: Printer,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const { title, run } of steps) {
    if (signal.aborted) break;
    const started = performance.now();
    printer.begin(title);
    try {
      const lines = await run();
      printer.end(title, true, performance.now() - started, lines);
    } catch (error) {
      if (signal.aborted) break;
      printer.end(title, false, performance.now() - started, (error as Error).message.split("\n"));
      return title;
    }
  }
  return undefined;
}

/** Throws `text` unless the condition holds. */
export function expect(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Error(text);
}
