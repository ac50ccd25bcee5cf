/** How a pool fills, by its growth over the last hour. */
export interface Forecast {
  /** `used` addresses of `size` now; another `subnet` begins anew. */
  look(subnet: string, size: number, used: number): void;
  /** Addresses an hour; negative while the pool empties. Undefined: too little was seen. */
  growth(): number | undefined;
  /** Seconds until the pool is exhausted if it goes on like this; undefined: it doesn't grow, or too little was seen. */
  exhaustedInS(): number | undefined;
}

const spanMs = 3_600_000;
const sampleMs = 60_000;
/** A burst of a few seconds says nothing about an hour. */
const leastMs = 300_000;

export function createForecast(now: () => number = () => performance.now()): Forecast {
  let samples: { atMs: number; used: number }[] = [];
  let present = { subnet: "", size: 0, used: 0 };

  function growth(): number | undefined {
    const [first] = samples;
    const seenMs = first === undefined ? 0 : now() - first.atMs;
    if (first === undefined || seenMs < leastMs) return undefined;
    return ((present.used - first.used) * spanMs) / seenMs;
  }

  return {
    growth,
    look(subnet, size, used) {
      if (subnet !== present.subnet) samples = [];
      present = { subnet, size, used };
      const atMs = now();
      const last = samples.at(-1);
      if (last === undefined || atMs - last.atMs >= sampleMs) samples.push({ atMs, used });
      // One sample beyond the hour stays, so that the hour is whole.
      while (samples.length > 2 && atMs - samples[1]!.atMs >= spanMs) samples.shift();
    },
    exhaustedInS() {
      const perHour = growth();
      if (perHour === undefined || perHour <= 0) return undefined;
      return Math.round((Math.max(0, present.size - present.used) * 3600) / perHour);
    },
  };
}
