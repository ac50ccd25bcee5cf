/** What holds for fragments of any size in any order. EG46_SEED repeats a run. */
import { describe } from "node:test";
import { fragmentProperties } from "../support/engine-fragments.ts";

const seed = Number(process.env.EG46_SEED ?? 46);

describe(`fragments, seed ${seed}`, () => fragmentProperties({ seed, numRuns: 1_500 }));
