import type { Mode, Results } from "./results.ts";

export interface Context {
  readonly mode: Mode;
  readonly results: Results;
  /** Progress, for whoever waits. */
  say(line: string): void;
}

/** A part of the bench: adds series, notes and errors to the results. */
export type Part = (context: Context) => Promise<void>;

/** A B C A B C …: what changes on the machine in the meantime meets all of them alike. */
export async function interleave<C extends { readonly name: string }>(
  { mode, results, say }: Context,
  contenders: readonly C[],
  measure: (contender: C, round: number) => Promise<string>,
): Promise<void> {
  for (let round = 0; round < mode.rounds; round++)
    for (const contender of contenders) {
      const started = results.errors.length;
      const figures = await measure(contender, round);
      say(`  round ${round + 1}/${mode.rounds} ${contender.name.padEnd(12)} ${figures}`);
      for (const error of results.errors.slice(started)) say(`  ERROR ${error}`);
    }
}
