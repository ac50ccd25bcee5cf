import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { numberToIpv4 } from "../../src/addresses.ts";
import { encodeValue, keyOf, keyPrefix } from "../../src/mappings/codec.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { needs } from "../support/exec.ts";
import {
  clusterLab,
  lmdbLab,
  redisLab,
  type StoreLab,
  sentinelLab,
  until,
} from "../support/mapping-stores.ts";

const value = "00010000000000000000000000022002::10:20:2:206";
const unavailable = { code: "EG46_STORE_UNAVAILABLE" };

/** `config` of the last: a server whose access list forbids tracking, as some managed ones do. */
const labs: Record<string, { needs: string[]; start: () => Promise<StoreLab> }> = {
  lmdb: { needs: [], start: lmdbLab },
  redis: { needs: ["redis-server"], start: redisLab },
  "redis, TLS with client certificates": {
    needs: ["redis-server", "openssl"],
    start: () => redisLab({ tls: true }),
  },
  "redis without CLIENT TRACKING": {
    needs: ["redis-server"],
    start: () => redisLab({ config: ["user default on nopass ~* &* +@all -client|tracking"] }),
  },
  "redis without CLIENT TRACKING, but with key events": {
    needs: ["redis-server"],
    start: () =>
      redisLab({
        config: ["user default on nopass ~* &* +@all -client|tracking", "notify-keyspace-events KA"],
      }),
  },
  "redis behind a sentinel, with a replica": { needs: ["redis-server"], start: sentinelLab },
  "redis behind a sentinel, TLS with client certificates everywhere": {
    needs: ["redis-server", "openssl"],
    start: () => sentinelLab({ tls: true }),
  },
  "redis cluster": { needs: ["redis-server"], start: clusterLab },
};

async function listed(store: MappingStore): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for await (const [nat4, text] of store.list()) all.set(nat4, text);
  return all;
}

function watched(store: MappingStore) {
  const abort = new AbortController();
  const seen = new Map<string, string | undefined>();
  const state = { resyncs: 0 };
  const done = store.watch(
    {
      changed: (nat4, text) => void seen.set(nat4, text),
      resync: () => void state.resyncs++,
    },
    abort.signal,
  );
  return { seen, state, done, abort };
}

for (const [name, lab] of Object.entries(labs)) {
  describe(`mapping store: ${name}`, needs(...lab.needs), () => {
    let place: StoreLab;
    let store: MappingStore;
    before(async () => {
      place = await lab.start();
      store = await place.open();
    });
    after(async () => {
      await store?.close();
      await place?.stop();
    });

    test("claim creates, then refuses; get, getMany and list agree; release deletes once", async () => {
      assert.equal(await store.get("10.0.0.1"), undefined);
      assert.equal(await store.claim("10.0.0.1", value), true);
      assert.equal(await store.claim("10.0.0.1", encodeValue("2001:db8::1")), false);
      assert.equal(await store.get("10.0.0.1"), value);
      assert.deepEqual(await store.getMany(["10.0.0.2", "10.0.0.1"]), [undefined, value]);
      assert.deepEqual(await store.getMany([]), []);
      assert.deepEqual([...(await listed(store))], [["10.0.0.1", value]]);
      assert.equal(await store.release("10.0.0.1"), true);
      assert.equal(await store.release("10.0.0.1"), false);
      assert.equal(await store.get("10.0.0.1"), undefined);
    });

    test("keys and values are the specification's, byte for byte, both ways", async () => {
      await store.claim("10.144.175.220", value);
      assert.equal(await place.foreignGet("0073c3b6eft_dns4610.144.175.220"), value);
      await place.foreignSet("0073c3b6eft_dns4610.144.175.221", "any text at all");
      assert.equal(await store.get("10.144.175.221"), "any text at all");
      await store.release("10.144.175.220");
      await store.release("10.144.175.221");
    });

    test("keys that are not ours are not listed", async () => {
      const others = [
        keyPrefix,
        `${keyPrefix}10.0.0`,
        `${keyPrefix}10.0.0.01`,
        "0073c3b6eft_dns45",
        "x10.0.0.1",
      ];
      for (const key of others) await place.foreignSet(key, value);
      assert.deepEqual([...(await listed(store))], []);
      for (const key of others) await place.foreignDelete(key);
    });

    test("list pages through 3500 entries", async () => {
      const addresses = Array.from({ length: 3500 }, (_, index) => numberToIpv4(0x0a010000 + index));
      // All of them at once would be more than a busy machine does within a call's budget.
      for (let start = 0; start < addresses.length; start += 250)
        await Promise.all(addresses.slice(start, start + 250).map((nat4) => store.claim(nat4, value)));
      assert.deepEqual([...(await listed(store)).keys()].sort(), addresses.sort());
      for (let start = 0; start < addresses.length; start += 250)
        await Promise.all(addresses.slice(start, start + 250).map((nat4) => store.release(nat4)));
    });

    test("two clients claim the same 100 addresses at once: one wins each", async () => {
      const other = await place.open();
      try {
        for (let index = 0; index < 100; index++) {
          const nat4 = numberToIpv4(0x0a020000 + index);
          const values = [encodeValue("2001:db8::a"), encodeValue("2001:db8::b")] as const;
          const won = await Promise.all([store.claim(nat4, values[0]), other.claim(nat4, values[1])]);
          assert.deepEqual([...won].sort(), [false, true]);
          assert.equal(await store.get(nat4), won[0] ? values[0] : values[1]);
          await store.release(nat4);
        }
      } finally {
        await other.close();
      }
    });

    test("a lease: the entry ends by itself, and its address stays held for the host", async () => {
      const lease = { host6: "2001:db8::1a", entryMs: 700, heldMs: 60_000 };
      const leased = encodeValue(lease.host6, 1);
      assert.equal(await store.claim("10.4.0.1", leased, lease), true);
      assert.equal(await store.claim("10.4.0.1", leased, lease), false);
      assert.deepEqual(await store.window(["10.4.0.1", "10.4.0.2"]), [
        { value: leased, heldFor: undefined },
        { value: undefined, heldFor: undefined },
      ]);
      await until("the end", async () => (await store.get("10.4.0.1")) === undefined);
      assert.deepEqual(await store.window(["10.4.0.1"]), [{ value: undefined, heldFor: lease.host6 }]);
      assert.equal(await store.claim("10.4.0.1", leased, { ...lease, entryMs: 60_000 }), true, "taken back");
      assert.equal(await store.release("10.4.0.1"), true);
    });

    test("renewing: a lease goes on, and is never shortened; what isn't ours, and what is gone, are told", async () => {
      const terms = { entryMs: 800, heldMs: 2000 };
      const [mine, byHand, lost] = ["2001:db8::1b", "2001:db8::1c", "2001:db8::1d"] as const;
      await store.claim("10.4.1.1", encodeValue(mine, 1), { host6: mine, ...terms });
      await store.claim("10.4.1.2", encodeValue(byHand, 1));
      const each = { own: false, entryMs: 60_000, heldMs: 90_000 };
      const all = [
        { nat4: "10.4.1.1", host6: mine, ...each },
        { nat4: "10.4.1.2", host6: byHand, ...each },
        { nat4: "10.4.1.3", host6: lost, ...each },
        { nat4: "10.4.1.1", host6: lost, ...each },
      ];
      assert.deepEqual(await store.renew(all), ["renewed", "foreign", "gone", "gone"]);
      assert.deepEqual(await store.renew([{ ...all[0]!, entryMs: 1, heldMs: 2 }]), ["renewed"]);
      await delay(1800);
      assert.equal(await store.get("10.4.1.1"), encodeValue(mine, 1));
      assert.equal(await store.get("10.4.1.2"), encodeValue(byHand, 1));
      for (const nat4 of ["10.4.1.1", "10.4.1.2"]) await store.release(nat4);
    });

    test("an entry made by hand where a leased one was deleted stays", async () => {
      const host6 = "2001:db8::1e";
      await store.claim("10.4.2.1", encodeValue(host6, 1), { host6, entryMs: 500, heldMs: 60_000 });
      await place.foreignDelete(keyOf("10.4.2.1"));
      await place.foreignSet(keyOf("10.4.2.1"), value);
      await delay(1500);
      assert.equal(await store.get("10.4.2.1"), value);
      await store.release("10.4.2.1");
    });

    test("records: written over, listed by prefix, removed, gone after their time; never an entry", async () => {
      const { records } = store;
      const lifeMs = 60_000;
      await records.put([
        { key: "egress46:name:a.example", value: "2001:db8::1", lifeMs },
        { key: "egress46:name:b.example", value: "2001:db8::2 2001:db8::3", lifeMs },
        { key: "egress46:name:c.example", value: "2001:db8::4", lifeMs: 300 },
        { key: "egress46:other:x", value: "y", lifeMs },
      ]);
      await records.put([{ key: "egress46:name:a.example", value: "2001:db8::9", lifeMs }]);
      await delay(600);
      const all = new Map<string, string>();
      for await (const [key, text] of records.list("egress46:name:")) all.set(key, text);
      assert.deepEqual([...all].sort(), [
        ["egress46:name:a.example", "2001:db8::9"],
        ["egress46:name:b.example", "2001:db8::2 2001:db8::3"],
      ]);
      const keys = ["egress46:name:c.example", "egress46:other:x"];
      assert.deepEqual(await records.getMany(keys), [undefined, "y"]);
      await records.remove([...all.keys(), ...keys]);
      assert.deepEqual(await records.getMany([...all.keys()]), [undefined, undefined]);
      assert.deepEqual([...(await listed(store))], []);
    });

    test("watch: resync when in place, then changes by others and by ourselves within a second", async () => {
      const watch = watched(store);
      await until("resync", () => watch.state.resyncs === 1);
      const key = keyOf("10.3.0.1");
      await place.foreignSet(key, value);
      assert.ok((await until("set", () => watch.seen.get("10.3.0.1") === value)) < 1000);
      await place.foreignDelete(key);
      const gone = () => watch.seen.has("10.3.0.1") && watch.seen.get("10.3.0.1") === undefined;
      assert.ok((await until("deletion", gone)) < 1000);
      await place.foreignSet(key, encodeValue("2001:db8::2"));
      assert.ok(
        (await until("new set", () => watch.seen.get("10.3.0.1") === encodeValue("2001:db8::2"))) < 1000,
      );
      await store.release("10.3.0.1");
      assert.ok((await until("own deletion", gone)) < 1000);
      watch.abort.abort();
      await watch.done;
      assert.equal(watch.state.resyncs, 1);
    });

    test("close ends the watch, afterwards every call rejects; close again is harmless", async () => {
      const other = await place.open();
      const watch = watched(other);
      await until("resync", () => watch.state.resyncs === 1);
      await other.close();
      await watch.done;
      assert.equal(other.connected(), false);
      await assert.rejects(other.get("10.0.0.1"), unavailable);
      await assert.rejects(other.claim("10.0.0.1", value), unavailable);
      await assert.rejects(listed(other), unavailable);
      await other.close();
    });
  });
}
