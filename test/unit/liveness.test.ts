import assert from "node:assert/strict";
import { test } from "node:test";
import { createLiveness } from "../../src/liveness.ts";

for (const [name, signs, expected] of [
  ["a sign before each look", [1, 1, 1, 1, 1, 1], [true, true, true, true, true, true]],
  ["none: false after three", [0, 0, 0, 0], [true, true, true, false]],
  ["one just in time starts anew", [0, 0, 0, 1, 0, 0, 0], [true, true, true, true, true, true, false]],
  // A pause of a minute is one look, and the answers of before it wait to be read.
  ["one look after a pause", [1, 0, 1], [true, true, true]],
] as const)
  test(`liveness, patience three: ${name}`, () => {
    const liveness = createLiveness(3);
    const looks = signs.map((sign) => {
      if (sign) liveness.alive();
      return liveness.look();
    });
    assert.deepEqual(looks, expected);
  });
