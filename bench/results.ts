/** What a run of the bench is made of; the JSON under bench/results is a {@link Results}. */
export interface Machine {
  readonly commit: string;
  /** Whether the working tree had changes that the commit doesn't have. */
  readonly modified: boolean;
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  /** ISO 8601. */
  readonly date: string;
}

export interface Mode {
  readonly rounds: number;
  /** Of each measurement. */
  readonly seconds: number;
}

export interface Series {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** By contender, one value a round. */
  readonly samples: Record<string, number[]>;
}

export interface Results {
  readonly machine: Machine;
  readonly mode: Mode;
  readonly series: Series[];
  readonly notRun: { readonly what: string; readonly reason: string }[];
  readonly notes: string[];
  /** Wrong bytes, duplicates, failures: never speed. */
  readonly errors: string[];
}

export function emptyResults(machine: Machine, mode: Mode): Results {
  return { machine, mode, series: [], notRun: [], notes: [], errors: [] };
}

export type SeriesHead = Pick<Series, "id" | "title" | "unit">;

export function addSample(results: Results, head: SeriesHead, contender: string, value: number): void {
  let series = results.series.find(({ id }) => id === head.id);
  if (series === undefined) {
    series = { ...head, samples: {} };
    results.series.push(series);
  }
  series.samples[contender] = [...(series.samples[contender] ?? []), value];
}

/** NaN for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
