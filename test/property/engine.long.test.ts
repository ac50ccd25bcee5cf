/** engine.test.ts with another seed each time (printed; EG46_SEED repeats it), and many more runs. */
import { describe } from "node:test";
import { fragmentProperties } from "../support/engine-fragments.ts";
import { hostileProperties } from "../support/engine-hostile.ts";
import { offloadProperties } from "../support/engine-offload.ts";
import { tableProperties } from "../support/engine-tables.ts";
import { translationProperties } from "../support/engine-translation.ts";

const seed = Number(process.env.EG46_SEED ?? Date.now() % 2 ** 31);

describe(`engine, seed ${seed}`, () => {
  fragmentProperties({ seed, numRuns: 50_000 });
  hostileProperties({ seed, numRuns: 500_000 });
  offloadProperties({ seed, numRuns: 3_000 });
  translationProperties({ seed, numRuns: 50_000 });
  tableProperties({ seed, numRuns: 200_000 });
});
