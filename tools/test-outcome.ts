import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";

export interface Outcome {
  /** File and test: `e2e/lab: every step holds`. */
  readonly name: string;
  readonly result: "passed" | "failed" | "skipped";
  readonly reason: string;
}

export type Ended = Extract<TestEvent, { type: "test:pass" | "test:fail" }>["data"];

/** Undefined for a suite that only repeats what its tests reported. `folder` is that of the compiled tests. */
export function outcomeOf(folder: string, passed: boolean, data: Ended): Outcome | undefined {
  const file = relative(folder, data.file ?? "").replace(/\.test\.js$/, "");
  // A process that exits non-zero or hangs is reported under the path of its file.
  const name = data.name === data.file ? `${file}: the file as a whole` : `${file}: ${data.name}`;
  const skipped = data.skip ?? data.todo;
  if (skipped !== undefined && skipped !== false)
    return { name, result: "skipped", reason: skipped === true ? "no reason given" : skipped };
  const error = "error" in data.details ? data.details.error : undefined;
  const echo = (error as { failureType?: string } | undefined)?.failureType === "subtestsFailed";
  if (echo || (passed && data.details.type === "suite")) return undefined;
  const cause = (error?.cause as Error | undefined)?.message ?? error?.message ?? "";
  return { name, result: passed ? "passed" : "failed", reason: cause.split("\n")[0] ?? "" };
}
