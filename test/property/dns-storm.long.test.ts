/** dns-storm.test.ts with another seed each time (printed; EG46_SEED repeats it), and many more messages. */
import { test } from "node:test";
import { assertCalm, storm } from "../support/dns-storm.ts";

const seed = Number(process.env.EG46_SEED ?? Date.now() % 2 ** 31);

test(`1,000,000 mutated DNS messages over UDP and TCP, seed ${seed}: no crash, bounded memory, the right RCODEs`, async (t) => {
  const report = await storm({ seed, messages: 1_000_000 });
  const { seconds, sent, connections, answers, resent, before, after } = report;
  const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MB`;
  t.diagnostic(`${Math.round(seconds)} s, ${JSON.stringify({ sent, connections, answers, resent })}`);
  t.diagnostic(
    `RSS ${megabytes(before.rss)} → ${megabytes(after.rss)}, heap ${megabytes(before.heapUsed)} → ${megabytes(after.heapUsed)}`,
  );
  t.diagnostic(JSON.stringify(after.stats));
  assertCalm(report);
});
