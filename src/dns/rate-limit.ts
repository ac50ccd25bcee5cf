/** dnsRateLimit for questions by sockets; the engines hold theirs (assembly/core/question-rate.ts). */

export interface RateLimit {
  /** Questions a second; 0 = any number. */
  set(perSecond: number): void;
  /** False = one too many. */
  take(): boolean;
}

/**
 * A token bucket as deep as one second. `elsewhere`: how many questions the engines have let through so far, which come
 * out of the same rate. `now` in milliseconds.
 */
export function createRateLimit(
  elsewhere: () => number,
  now: () => number = () => performance.now(),
): RateLimit {
  let rate = 0;
  let tokens = 0;
  let lastMs = now();
  let others = elsewhere();

  return {
    set(perSecond) {
      if (perSecond === rate) return;
      rate = tokens = perSecond;
      lastMs = now();
      others = elsewhere();
    },
    take() {
      if (rate === 0) return true;
      const nowMs = now();
      const total = elsewhere();
      tokens = Math.min(rate, tokens + ((nowMs - lastMs) * rate) / 1000 - (total - others));
      // What the engines took beyond it doesn't count for ever.
      tokens = Math.max(tokens, -rate);
      lastMs = nowMs;
      others = total;
      if (tokens < 1) return false;
      tokens--;
      return true;
    },
  };
}
