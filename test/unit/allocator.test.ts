import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ipv4ToNumber, numberToIpv4 } from "../../src/addresses.ts";
import { allocate } from "../../src/mappings/allocator.ts";
import { encodeValue } from "../../src/mappings/codec.ts";
import { likelyFree, type Pool, poolOf, windowOf } from "../../src/mappings/pool.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { lmdbForTests } from "../support/mapping-stores.ts";

const host = (index: number) => `2001:db8::${(index + 1).toString(16)}`;

describe("pool", () => {
  const pools: Record<string, [subnet: string, reserved: number, first: string, size: number]> = {
    "a /24 without network and broadcast address": ["10.244.50.0/24", 0, "10.244.50.1", 254],
    "reserved addresses at the start": ["10.244.50.0/24", 10, "10.244.50.11", 244],
    "host bits don't matter": ["10.244.50.7/24", 0, "10.244.50.1", 254],
    "a /30": ["10.0.0.0/30", 0, "10.0.0.1", 2],
    "a /31 has no broadcast": ["10.0.0.0/31", 0, "10.0.0.0", 2],
    "a /32": ["10.0.0.5/32", 0, "10.0.0.5", 1],
    "all reserved": ["10.0.0.0/30", 2, "10.0.0.3", 0],
    "more than all reserved": ["10.0.0.0/30", 9, "10.0.0.10", 0],
    "the upper end": ["255.255.255.0/24", 0, "255.255.255.1", 254],
    "a /8": ["10.0.0.0/8", 0, "10.0.0.1", 2 ** 24 - 2],
  };
  for (const [name, [subnet, reserved, first, size]] of Object.entries(pools))
    test(name, () => {
      const pool = poolOf({ subnet, reserved });
      assert.deepEqual([numberToIpv4(pool.first), pool.size], [first, size]);
    });

  for (const subnet of ["2001:db8::/64", "10.0.0.0/33", "10.0.0.0/x", ""])
    test(`'${subnet}' is refused`, () => assert.throws(() => poolOf({ subnet, reserved: 0 }), TypeError));

  test("the window is the published one: other versions of the gateway depend on it", () => {
    const window = windowOf(poolOf({ subnet: "10.244.50.0/24", reserved: 0 }), "2001:db8::1");
    assert.deepEqual(window.slice(0, 4).map(numberToIpv4), [
      "10.244.50.162",
      "10.244.50.15",
      "10.244.50.122",
      "10.244.50.229",
    ]);
  });

  test("first candidates spread over the pool: 4096 hosts, 16 slices, each 256 ± 25 %", () => {
    const pool = poolOf({ subnet: "10.0.0.0/16", reserved: 0 });
    const slices = new Array<number>(16).fill(0);
    for (let index = 0; index < 4096; index++) slices[(windowOf(pool, host(index))[0]! >>> 12) & 15]!++;
    for (const count of slices) assert.ok(count > 192 && count < 320, String(slices));
  });
});

/** Without the stored text. */
async function answerOf(store: MappingStore, pool: Pool, host6: string) {
  const claimed = await allocate(store, pool, host6);
  return claimed.kind === "mapped" ? { kind: claimed.kind, nat4: claimed.nat4 } : claimed;
}

describe("allocate", () => {
  let store: MappingStore;
  lmdbForTests((opened) => {
    store = opened;
  });

  test("a new host gets its first candidate, the same again afterwards", async () => {
    const pool = poolOf({ subnet: "10.1.0.0/24", reserved: 0 });
    const nat4 = numberToIpv4(windowOf(pool, host(0))[0]!);
    assert.deepEqual(await answerOf(store, pool, host(0)), { kind: "mapped", nat4 });
    assert.equal(await store.get(nat4), encodeValue(host(0)));
    assert.deepEqual(await answerOf(store, pool, host(0)), { kind: "mapped", nat4 });
  });

  test("an entry deep in the window, in another spelling, is the answer", async () => {
    const pool = poolOf({ subnet: "10.2.0.0/24", reserved: 0 });
    const nat4 = numberToIpv4(windowOf(pool, "2001:db8::b")[100]!);
    await store.claim(nat4, "ffff00000000000000000000000f2001:0DB8:0:0:0:0:0:B");
    assert.deepEqual(await answerOf(store, pool, "2001:db8::b"), { kind: "mapped", nat4 });
  });

  test("a value that is not a mapping occupies its address and stays", async () => {
    const pool = poolOf({ subnet: "10.3.0.0/24", reserved: 0 });
    const [first, second] = windowOf(pool, host(0)).map(numberToIpv4);
    await store.claim(first!, "rubbish");
    assert.deepEqual(await answerOf(store, pool, host(0)), { kind: "mapped", nat4: second });
    assert.equal(await store.get(first!), "rubbish");
  });

  test("a small pool is used up to the last address, then exhausted, hosts inside still answered", async () => {
    const pool = poolOf({ subnet: "10.4.0.0/28", reserved: 4 });
    const given = new Set<string>();
    for (let index = 0; index < 10; index++) {
      const allocation = await answerOf(store, pool, host(index));
      if (allocation.kind === "mapped") given.add(allocation.nat4);
    }
    assert.deepEqual(
      [...given]
        .map(ipv4ToNumber)
        .sort((a, b) => a - b)
        .map(numberToIpv4),
      Array.from({ length: 10 }, (_, index) => `10.4.0.${5 + index}`),
    );
    assert.deepEqual(await answerOf(store, pool, host(10)), { kind: "exhausted" });
    assert.equal((await answerOf(store, pool, host(3))).kind, "mapped");
  });

  for (const whole of [true, false])
    test(`a pool 90 % used, read ${whole ? "as a whole" : "no further than needed"}: a claim in two round trips`, async () => {
      const pool = poolOf({ subnet: whole ? "10.9.0.0/22" : "10.9.4.0/22", reserved: 0 });
      // A tenth of the addresses stays free, without a pattern.
      const taken = Array.from({ length: pool.size }, (_, index) => index).filter(
        (index) => (Math.imul(index, 0x9e3779b1) >>> 8) % 10 !== 3,
      );
      await Promise.all(
        taken.map((index) => store.claim(numberToIpv4(pool.first + index), encodeValue(host(5000 + index)))),
      );
      let trips = 0;
      const counted: MappingStore = {
        ...store,
        window(...args) {
          trips++;
          return store.window(...args);
        },
        claim(...args) {
          trips++;
          return store.claim(...args);
        },
      };
      for (let index = 100; index < 130; index++) {
        trips = 0;
        const claimed = await allocate(
          counted,
          pool,
          host(index),
          undefined,
          whole ? undefined : likelyFree(0.9),
        );
        assert.equal(claimed.kind, "mapped");
        assert.equal(trips, 2);
      }
    });

  test("an empty pool is exhausted", async () => {
    const pool = poolOf({ subnet: "10.5.0.0/30", reserved: 2 });
    assert.deepEqual(await answerOf(store, pool, host(0)), { kind: "exhausted" });
  });

  const rivals: Record<string, { rival: string; candidate: number }> = {
    "another host: the next candidate": { rival: host(77), candidate: 1 },
    "our own host, by another gateway: its answer is ours": { rival: host(0), candidate: 0 },
  };
  for (const [name, { rival, candidate }] of Object.entries(rivals))
    test(`a race lost to ${name}`, async () => {
      const pool = poolOf({ subnet: candidate === 1 ? "10.6.0.0/24" : "10.7.0.0/24", reserved: 0 });
      let raced = false;
      const racing: MappingStore = {
        ...store,
        async claim(nat4, value) {
          if (!raced) await store.claim(nat4, encodeValue(rival));
          raced = true;
          return await store.claim(nat4, value);
        },
      };
      const nat4 = numberToIpv4(windowOf(pool, host(0))[candidate]!);
      assert.deepEqual(await answerOf(racing, pool, host(0)), { kind: "mapped", nat4 });
    });

  test("claims refused though nothing is stored end as exhausted, not in a loop", async () => {
    const refusing: MappingStore = { ...store, claim: async () => false };
    const pool = poolOf({ subnet: "10.8.0.0/24", reserved: 0 });
    assert.deepEqual(await answerOf(refusing, pool, host(0)), { kind: "exhausted" });
  });
});
