import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createDoorbell } from "../../src/dataplane/doorbell.ts";
import { addressOf, errno, read } from "../../src/dataplane/syscalls.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("doorbells still ring after collections, with their freed memory in use again", async () => {
  const bells = Array.from({ length: 200 }, createDoorbell);
  const counter = Buffer.alloc(8);
  const others: ArrayBuffer[] = [];
  for (let round = 0; round < 5; round++) {
    collect();
    // Backing stores are freed by a thread of V8's.
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let count = 0; count < 2000; count++) others.push(new ArrayBuffer(8));
  }
  for (const { fd, ring } of bells) {
    ring();
    assert.equal(read(fd, addressOf(counter), counter.length), 8, `errno ${errno()}`);
    assert.equal(counter.readBigUInt64LE(), 1n);
  }
  assert.equal(others.length, 10_000);
});
