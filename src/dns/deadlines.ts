/** One coarse timer for whatever waits: a timer a question would cost more than the question. */
export interface Waiting {
  /** `performance.now()` at which {@link wake} is due. Infinity: never. */
  wakeAt: number;
  /** Late by at most a tick. It may add and delete. */
  wake(now: number): void;
}

export interface Deadlines {
  add(waiting: Waiting): void;
  delete(waiting: Waiting): void;
}

const tickMs = 20;

export function createDeadlines(): Deadlines {
  const all = new Set<Waiting>();
  let timer: NodeJS.Timeout | undefined;

  function tick(): void {
    if (all.size === 0) {
      clearInterval(timer);
      timer = undefined;
      return;
    }
    const now = performance.now();
    for (const waiting of all) if (waiting.wakeAt <= now) waiting.wake(now);
  }

  return {
    add(waiting) {
      all.add(waiting);
      timer ??= setInterval(tick, tickMs);
    },
    delete: (waiting) => void all.delete(waiting),
  };
}
