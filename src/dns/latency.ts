/** How long answers take: smoothed for decisions, a small histogram of the latest for people. */
export interface Latency {
  add(ms: number): void;
  /** RFC 6298 §2's way, with a first guess. Milliseconds. */
  smoothedMs(): number;
  /** Milliseconds that the share `quantile` of the latest answers took at most, to within a fifth; undefined: no answer yet. */
  quantileMs(quantile: number): number | undefined;
}

const firstGuessMs = 100;
/** Four buckets a doubling, from 0.05 ms to 3.3 s. */
const smallestMs = 0.05;
const perDoubling = 4;
const buckets = 64;
/** Then all counts are halved: what was long ago fades. */
const remembered = 4096;

export function createLatency(): Latency {
  const counts = new Uint16Array(buckets);
  let total = 0;
  let smoothed = firstGuessMs;

  function halve(): void {
    total = 0;
    for (let index = 0; index < buckets; index++) {
      counts[index]! >>>= 1;
      total += counts[index]!;
    }
  }

  return {
    add(ms) {
      smoothed += (ms - smoothed) / 8;
      const index = Math.floor(Math.log2(ms / smallestMs) * perDoubling) + 1;
      counts[Math.min(buckets - 1, Math.max(0, index))]!++;
      if (++total >= remembered) halve();
    },
    smoothedMs: () => smoothed,
    quantileMs(quantile) {
      if (total === 0) return undefined;
      let index = 0;
      let passed = counts[0]!;
      while (index < buckets - 1 && passed < total * quantile) passed += counts[++index]!;
      return Number((smallestMs * 2 ** (index / perDoubling)).toPrecision(3));
    },
  };
}
