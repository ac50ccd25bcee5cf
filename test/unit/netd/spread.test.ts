import assert from "node:assert/strict";
import { test } from "node:test";
import { workerOf } from "../../../src/netd/spread.ts";

// What `meta mark set jhash ip saddr mod 61 seed 0x46` gave on Linux.
for (const [source, worker] of [
  ["10.233.189.0", 0],
  ["10.136.183.204", 30],
  ["10.142.101.228", 60],
  ["fd00:3ee1:c73:b97c:3a55:2b51:7dc8:42c1", 28],
  ["fd00:3fbb:5128:38d7:4ccb:e4bf:1a6b:f371", 60],
] as const)
  test(`${source}: worker ${worker} of 61, 0 of 1`, () => {
    assert.equal(workerOf(source, 61), worker);
    assert.equal(workerOf(source, 1), 0);
  });
