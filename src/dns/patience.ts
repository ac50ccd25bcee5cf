/**
 * Works that may take only so long. One timer for all of them: they have the same time, so they fall due in the order in
 * which they began, and each may be up to a tick late.
 */
const tickMs = 100;

interface Waiting {
  readonly dueAt: number;
  reject(error: Error): void;
}

/** The result of the work, or a rejection with `message` once `ms` are over; late work goes on unobserved. */
export function createPatience(ms: number, message: string): <T>(work: Promise<T>) => Promise<T> {
  const waiting = new Set<Waiting>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    const now = performance.now();
    for (const each of waiting) {
      if (each.dueAt > now) break;
      waiting.delete(each);
      each.reject(new Error(message));
    }
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return <T>(work: Promise<T>) =>
    new Promise<T>((resolve, reject) => {
      const entry = { dueAt: performance.now() + ms, reject };
      waiting.add(entry);
      timer ??= setInterval(look, tickMs);
      work.then(
        (result) => {
          waiting.delete(entry);
          resolve(result);
        },
        (error) => {
          waiting.delete(entry);
          reject(error);
        },
      );
    });
}
