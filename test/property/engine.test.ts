/** What holds for any packet and any order of events; engine.long.test.ts tries many more. EG46_SEED repeats a run. */
import { describe } from "node:test";
import { hostileProperties } from "../support/engine-hostile.ts";
import { tableProperties } from "../support/engine-tables.ts";
import { translationProperties } from "../support/engine-translation.ts";

const seed = Number(process.env.EG46_SEED ?? 46);

describe(`engine, seed ${seed}`, () => {
  hostileProperties({ seed, numRuns: 10_000 });
  translationProperties({ seed, numRuns: 1_500 });
  tableProperties({ seed, numRuns: 6_000 });
});
