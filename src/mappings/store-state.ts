import type { Logger } from "../log.ts";

/** Whether a store works, told to the log once when it stops and once when it works again, however many calls fail. */
export interface StoreState {
  /** The latest reason while it does not work. */
  problem(): string | undefined;
  failed(reason: string): void;
  recovered(): void;
}

/** `texts` complete 'mapping store NAME …', as in 'is away' and 'is back'. */
export function createStoreState(
  name: string,
  texts: { readonly failed: string; readonly recovered: string },
  log: Logger,
): StoreState {
  let problem: string | undefined;
  let sinceMs = 0;
  return {
    problem: () => problem,
    failed(reason) {
      const first = problem === undefined;
      problem = reason;
      if (!first) return;
      sinceMs = performance.now();
      log.warn({ code: "EG46_STORE_UNAVAILABLE" }, `mapping store ${name} ${texts.failed}: ${reason}`);
    },
    recovered() {
      if (problem === undefined) return;
      problem = undefined;
      const seconds = Math.round((performance.now() - sinceMs) / 1000);
      log.info(`mapping store ${name} ${texts.recovered} after ${seconds} s`);
    },
  };
}
