/** How often the keeper looks: as often as the shortest lease needs that is ours to renew, whatever else is stored. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ipv4ToNumber } from "../../src/addresses.ts";
import { decodeValue, encodeValue } from "../../src/mappings/codec.ts";
import { createKeeper } from "../../src/mappings/keeper.ts";
import { createMappingTable } from "../../src/mappings/mapping-table.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { lmdbForTests, quiet } from "../support/mapping-stores.ts";

const host6 = "2001:db8::1";

describe("looks of the keeper", { concurrency: true }, () => {
  let store: MappingStore;
  lmdbForTests((opened) => {
    store = opened;
  });

  /** Looks at the sessions within so many milliseconds. */
  async function looks(
    leaseMs: number,
    entry: { nat4: string; leaseS: number; leased: boolean; used: boolean },
    forMs: number,
  ): Promise<number> {
    const { nat4: text, leaseS, leased, used } = entry;
    const nat4 = ipv4ToNumber(text);
    const table = createMappingTable();
    let count = 0;
    const keeper = createKeeper({
      ...{ store, table, log: quiet, gone() {} },
      life: { leaseMs, graceMs: 100, quarantineMs: 100 },
      async sessions() {
        count++;
        return new Set(used ? [nat4] : []);
      },
    });
    keeper.setTtl(0);
    const value = encodeValue(host6, leaseS);
    const sentMs = performance.now();
    const terms = leased ? keeper.termsOf(leaseS) : undefined;
    assert.equal(await store.claim(text, value, terms && { host6, ...terms }), true);
    table.set(nat4, host6, Promise.resolve());
    const stop = new AbortController();
    const running = keeper.run(stop.signal);
    keeper.seen(nat4, decodeValue(value));
    if (leased) keeper.claimed(nat4, sentMs);
    else if (used) assert.equal(await keeper.answer(nat4, host6), true);
    await delay(forMs);
    stop.abort();
    await running;
    return count;
  }

  test("an entry made by hand with a timeout of a second: once at most, used or not", async () => {
    const by = { leaseS: 1, leased: false };
    const counts = await Promise.all([
      looks(0, { ...by, nat4: "10.0.0.1", used: false }, 1300),
      looks(3_600_000, { ...by, nat4: "10.0.0.2", used: false }, 1300),
      looks(0, { ...by, nat4: "10.0.0.3", used: true }, 1300),
    ]);
    assert.ok(Math.max(...counts) <= 1, counts.join());
  });

  test("a lease of a second that is ours: it is kept", async () => {
    const nat4 = "10.0.0.4";
    const count = await looks(1000, { nat4, leaseS: 1, leased: true, used: true }, 2500);
    assert.ok(count >= 5, String(count));
    assert.equal(await store.get(nat4), encodeValue(host6, 1));
  });

  test("once it has gone, looks are rare again", async () => {
    const table = createMappingTable();
    let count = 0;
    const keeper = createKeeper({
      ...{ store, table, log: quiet, gone() {} },
      life: { leaseMs: 1000, graceMs: 100, quarantineMs: 100 },
      async sessions() {
        count++;
        return new Set<number>();
      },
    });
    const stop = new AbortController();
    const running = keeper.run(stop.signal);
    const [short, long] = [1, 3600].map((leaseS) => decodeValue(encodeValue(host6, leaseS)));
    const nat4 = ipv4ToNumber("10.0.1.1");
    keeper.seen(nat4 + 1, long);
    keeper.seen(nat4, short);
    await delay(700);
    keeper.seen(nat4, undefined);
    await delay(300);
    const before = count;
    await delay(700);
    stop.abort();
    await running;
    assert.ok(before >= 1 && count === before, `${before}, then ${count}`);
  });
});
