/** What holds for super-packets of any size. EG46_SEED repeats a run. */
import { describe } from "node:test";
import { offloadProperties } from "../support/engine-offload.ts";

const seed = Number(process.env.EG46_SEED ?? 46);

describe(`offload, seed ${seed}`, () => offloadProperties({ seed, numRuns: 60 }));
