import { test } from "node:test";
import { assertCalm, storm } from "../support/dns-storm.ts";

const seed = Number(process.env.EG46_SEED ?? 46);

test(`5,000 mutated DNS messages over UDP and TCP, seed ${seed}: no crash, the right RCODEs`, async (t) => {
  const report = await storm({ seed, messages: 5_000 });
  t.diagnostic(JSON.stringify({ ...report, before: undefined, after: undefined }));
  assertCalm(report);
});
