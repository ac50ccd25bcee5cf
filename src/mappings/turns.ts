import { unavailable } from "./deadline.ts";

/**
 * At most `width` of the works given to it run at once; one that would wait longer than `patienceMs` for its turn rejects
 * with EG46_STORE_UNAVAILABLE. In a burst the first ones succeed, where without turns all would be late together.
 */
export function createTurns(width: number, patienceMs: number, what: string) {
  const queue = new Set<() => void>();
  let taken = 0;

  function turn(): Promise<void> {
    if (taken < width) {
      taken++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        queue.delete(enter);
        reject(unavailable(what, `too many claims at once: no turn within ${patienceMs} ms`));
      }, patienceMs);
      queue.add(enter);
    });
  }

  return async <T>(work: () => Promise<T>): Promise<T> => {
    await turn();
    try {
      return await work();
    } finally {
      // The turn is handed over, never free in between: a newcomer can't overtake.
      const [next] = queue;
      if (next === undefined) taken--;
      else {
        queue.delete(next);
        next();
      }
    }
  };
}
