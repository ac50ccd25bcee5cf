import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { numberToIpv4 } from "../../src/addresses.ts";
import { allocate } from "../../src/mappings/allocator.ts";
import { poolOf, windowOf } from "../../src/mappings/pool.ts";
import { sparing } from "../../src/mappings/sparing.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { lmdbForTests } from "../support/mapping-stores.ts";

describe("a claim in a store that has lost what is known here", () => {
  let store: MappingStore;
  lmdbForTests((opened) => {
    store = opened;
  });

  const host6 = "2001:db8::1";
  const pool = poolOf({ subnet: "10.1.0.0/24", reserved: 0 });
  const window = windowOf(pool, host6).map(numberToIpv4);

  for (const likely of [undefined, 4, 60])
    for (const [known, wanted, owner] of [
      [40, 40, "2001:db8::2"],
      [window.length, undefined, "2001:db8::2"],
      [3, 0, host6],
    ] as const)
      test(`the first ${known} are ${owner === host6 ? "its own" : "another's"}, ${likely ?? "all"} are read: ${wanted ?? "exhausted"}, by two reads at most`, async () => {
        let reads = 0;
        const counted: MappingStore = {
          ...store,
          window(nat4s) {
            reads++;
            return store.window(nat4s);
          },
        };
        const owners = new Map(window.slice(0, known).map((nat4) => [nat4, owner]));
        const spared = sparing(counted, (nat4) => owners.get(nat4));
        const found = await allocate(spared, pool, host6, undefined, likely);
        const nat4 = wanted === undefined ? undefined : window[wanted];
        assert.equal(found.kind === "mapped" ? found.nat4 : undefined, nat4);
        assert.ok(reads <= 2, `${reads} reads`);
        if (nat4 !== undefined) await store.release(nat4);
      });
});
