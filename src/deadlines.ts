/** One coarse timer for whatever waits: a timer a question would cost more than the question. */
export interface Waiting {
  /** `performance.now()` at which {@link wake} is due. Infinity: never. */
  wakeAt: number;
  /** Of the list's own use. */
  place: number;
  /** Late by at most a tick. It may add and delete. */
  wake(now: number): void;
}

export interface Deadlines {
  add(waiting: Waiting): void;
  delete(waiting: Waiting): void;
}

const tickMs = 20;

export function createDeadlines(): Deadlines {
  const all: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  function tick(): void {
    if (all.length === 0) {
      clearInterval(timer);
      timer = undefined;
      return;
    }
    const now = performance.now();
    // Downwards: whoever takes the place of one that goes has been looked at.
    for (let place = all.length - 1; place >= 0; place--) {
      const waiting = all[place];
      if (waiting !== undefined && waiting.wakeAt <= now) waiting.wake(now);
    }
  }

  return {
    add(waiting) {
      waiting.place = all.push(waiting) - 1;
      timer ??= setInterval(tick, tickMs);
    },
    delete(waiting) {
      if (all[waiting.place] !== waiting) return;
      const last = all.pop()!;
      if (last === waiting) return;
      all[waiting.place] = last;
      last.place = waiting.place;
    },
  };
}
