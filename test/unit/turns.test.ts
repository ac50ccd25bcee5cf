import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurns } from "../../src/mappings/turns.ts";

test("never more than the width at once; all get their turn in order; a failure passes the turn on", async () => {
  const inTurn = createTurns(3, 5000, "test");
  const started: number[] = [];
  let running = 0;
  let most = 0;
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      inTurn(async () => {
        started.push(index);
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, index % 3));
        running--;
        if (index % 5 === 0) throw new Error("failed");
        return index;
      }),
    ),
  );
  assert.equal(most, 3);
  assert.deepEqual(
    started,
    Array.from({ length: 20 }, (_, index) => index),
  );
  assert.equal(results.filter(({ status }) => status === "rejected").length, 4);
});

test("who waits too long is turned away, and takes no turn later", async () => {
  const inTurn = createTurns(1, 50, "test");
  let release = () => {};
  const first = inTurn(() => new Promise<void>((resolve) => (release = resolve)));
  let ran = false;
  const late = inTurn(async () => {
    ran = true;
  });
  await assert.rejects(late, { code: "EG46_STORE_UNAVAILABLE" });
  release();
  await first;
  assert.equal(await inTurn(async () => 7), 7);
  assert.equal(ran, false);
});
