import { createDeadlines, type Waiting } from "./deadlines.ts";

const deadlines = createDeadlines();

/**
 * The result of `work`, or a rejection with what `failure` makes of the work's error, or of nothing once `ms` are over
 * (late by 20 ms at most). Late work goes on unobserved.
 */
export function inTime<T>(work: Promise<T>, ms: number, failure: (cause?: unknown) => unknown): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const waiting: Waiting = {
      wakeAt: performance.now() + ms,
      place: -1,
      wake() {
        deadlines.delete(waiting);
        reject(failure());
      },
    };
    deadlines.add(waiting);
    work.then(
      (result) => {
        deadlines.delete(waiting);
        resolve(result);
      },
      (cause) => {
        deadlines.delete(waiting);
        reject(failure(cause));
      },
    );
  });
}
