import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { stayOnProcessor } from "../../src/dataplane/affinity.ts";

const allowed = () =>
  /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/thread-self/status", "utf8"))![1]!;

test("a worker's thread stays on a processor of its own", {
  skip: availableParallelism() < 2 && "there is one processor",
}, () => {
  const before = allowed();
  stayOnProcessor(100_000);
  assert.equal(allowed(), before, "more workers than processors: as it was");
  stayOnProcessor(0);
  assert.equal(allowed(), before.split(/[-,]/).at(-1), "the first worker has the last one");
  stayOnProcessor(0);
  assert.equal(allowed(), before.split(/[-,]/).at(-1), "nothing to choose");
});
