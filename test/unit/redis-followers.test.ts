import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { follow, noFollowers } from "../../src/mappings/redis-followers.ts";

describe("replicas that must have a claim, looked at each second", () => {
  /** Replicas seen, for so many seconds; then how many count at which second. */
  type Row = readonly [seen: readonly (readonly [replicas: number, seconds: number])[], counted: Counted];
  type Counted = Readonly<Record<number, number>>;
  const rows: Record<string, Row> = {
    "more count at once": [
      [
        [0, 3],
        [2, 3],
      ],
      { 2: 0, 3: 2 },
    ],
    "one of two leaves: five seconds more": [
      [
        [2, 3],
        [1, 20],
      ],
      { 3: 2, 7: 2, 8: 1, 22: 1 },
    ],
    "the only one leaves: five seconds more": [
      [
        [1, 3],
        [0, 20],
      ],
      { 3: 1, 7: 1, 8: 0 },
    ],
    "both leave: a minute more": [
      [
        [2, 3],
        [0, 80],
      ],
      { 3: 2, 8: 2, 62: 2, 63: 0 },
    ],
    "one leaves, then the other: a minute more": [
      [
        [2, 3],
        [1, 10],
        [0, 80],
      ],
      { 13: 1, 18: 1, 72: 1, 73: 0 },
    ],
    "both leave, one comes back: it will do": [
      [
        [2, 3],
        [0, 10],
        [1, 9],
      ],
      { 12: 2, 13: 1 },
    ],
    "a moment without one is nothing": [
      [
        [1, 3],
        [0, 4],
        [1, 9],
        [0, 4],
      ],
      { 6: 1, 9: 1, 19: 1 },
    ],
  };
  for (const [name, [seen, counted]] of Object.entries(rows))
    test(name, () => {
      const numbers = seen.flatMap(([replicas, seconds]) => Array.from({ length: seconds }, () => replicas));
      let following = noFollowers;
      const found: Record<number, number> = {};
      for (const [second, replicas] of numbers.entries()) {
        const look = { mode: "standalone", primary: true, loading: false, replicas, lineage: "a" };
        following = follow(following, look, 1000 * second);
        if (second in counted) found[second] = following.replicas;
      }
      assert.deepEqual(found, counted);
    });

  test("another server, process or line of replication begins anew", () => {
    const look = { mode: "standalone", primary: true, loading: false, replicas: 2, lineage: "a" };
    const before = follow(noFollowers, look, 0);
    const after = follow(before, { ...look, replicas: 0, lineage: "b" }, 1000);
    assert.deepEqual([before.replicas, after.replicas, after.most], [2, 0, 0]);
  });
});
