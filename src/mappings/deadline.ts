import { setTimeout as delay } from "node:timers/promises";
import { Eg46Error } from "../errors.ts";
import { inTime } from "../in-time.ts";

/** No call of a store takes longer: the DNS client behind it has its own patience of a few seconds. */
export const callBudgetMs = 900;

/** EG46_STORE_UNAVAILABLE naming the store and the operation; an error that already is one is kept. */
export function unavailable(what: string, cause: unknown): Eg46Error {
  if (cause instanceof Eg46Error) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Eg46Error("EG46_STORE_UNAVAILABLE", `${what}: ${reason.split("\n")[0]}`, { cause });
}

/** The result of `work`, or EG46_STORE_UNAVAILABLE when it fails or takes too long; late work goes on unobserved. */
export function within<T>(budgetMs: number, what: string, work: Promise<T>): Promise<T> {
  return inTime(work, budgetMs, (cause = new Error(`no answer within ${Math.round(budgetMs)} ms`)) =>
    unavailable(what, cause),
  );
}

/** Resolves after the time or as soon as the signal aborts, whichever is first. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
