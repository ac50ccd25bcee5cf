import { within } from "./deadline.ts";

/**
 * At most `width` of the works given to it run at once; one that would wait longer than `patienceMs` for its turn rejects
 * with EG46_STORE_UNAVAILABLE. In a burst the first ones succeed, where without turns all would be late together.
 */
export function createTurns(width: number, patienceMs: number, what: string) {
  const queue = new Set<() => void>();
  let running = 0;

  async function turn(): Promise<void> {
    if (running < width) return;
    let enter = () => {};
    const called = new Promise<void>((resolve) => {
      enter = resolve;
    });
    queue.add(enter);
    await within(patienceMs, `${what}: waiting for a turn`, called).finally(() => queue.delete(enter));
  }

  return async <T>(work: () => Promise<T>): Promise<T> => {
    await turn();
    running++;
    try {
      return await work();
    } finally {
      running--;
      const [next] = queue;
      if (next !== undefined) {
        queue.delete(next);
        next();
      }
    }
  };
}
