import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { bytesToIpv6, numberToIpv4 } from "../../src/addresses.ts";
import type { MappingSink } from "../../src/engine/mapping-sink.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { createMappings, type Mappings } from "../../src/mappings/mappings.ts";
import type { MappingStore, Renewal } from "../../src/mappings/store.ts";
import { lmdbLab, quiet, type StoreLab, until } from "../support/mapping-stores.ts";

/** A sink that remembers what an engine would hold; `fail` makes the next install reject. */
function recorder() {
  const held = new Map<string, string>();
  const sink: MappingSink & { held: typeof held; installs: number; fail: boolean } = {
    held,
    installs: 0,
    fail: false,
    async install(nat4, host6) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (sink.fail) throw new Error("engine stopped");
      sink.installs++;
      held.set(numberToIpv4(nat4), bytesToIpv6(host6));
    },
    async remove(nat4) {
      held.delete(numberToIpv4(nat4));
    },
  };
  return sink;
}

/** Counts round trips. */
function counting(store: MappingStore) {
  const calls = { get: 0, window: 0, claim: 0 };
  const counted: MappingStore = {
    ...store,
    get(nat4) {
      calls.get++;
      return store.get(nat4);
    },
    window(nat4s) {
      calls.window++;
      return store.window(nat4s);
    },
    claim(nat4, value, lease) {
      calls.claim++;
      return store.claim(nat4, value, lease);
    },
  };
  return { calls, counted };
}

const outside = "10.144.175.220";

describe("mappings on LMDB", () => {
  let lab: StoreLab;
  let store: MappingStore;
  let mappings: Mappings;
  const sink = recorder();
  const logged: { code: string; nat4: string }[] = [];
  let calls: ReturnType<typeof counting>["calls"];
  before(async () => {
    lab = await lmdbLab();
    store = await lab.open();
    await store.claim(outside, encodeValue("2002::10:20:2:206"));
    await store.claim("10.9.0.200", "rubbish");
    const wrapped = counting(store);
    calls = wrapped.calls;
    const log = pino(
      { level: "warn", base: null },
      { write: (line: string) => void logged.push(JSON.parse(line)) },
    );
    mappings = createMappings({ store: wrapped.counted, sink, log });
  });
  after(async () => {
    await mappings?.close();
    await store?.close();
    await lab?.stop();
  });

  test("start loads everything, counts what is malformed and names it once", async () => {
    mappings.setPool({ subnet: "10.9.0.0/24", reserved: 0 });
    await mappings.start();
    assert.deepEqual([...sink.held], [[outside, "2002::10:20:2:206"]]);
    assert.deepEqual(mappings.status(), {
      known: 1,
      malformed: 1,
      conflicts: 0,
      poolSize: 254,
      poolUsed: 1,
      poolGrowth: undefined,
      poolExhaustedInS: undefined,
      poolNote: undefined,
      storeConnected: true,
      storeProblem: undefined,
      store: store.name,
    });
    assert.deepEqual(mappings.list(), [
      { nat4: "10.9.0.200", host6: undefined },
      { nat4: outside, host6: "2002::10:20:2:206" },
    ]);
    assert.deepEqual(
      logged.map(({ code, nat4 }) => [code, nat4]),
      [["EG46_STORE_VALUE", "10.9.0.200"]],
    );
  });

  test("mapHost: claimed, stored, in the engine before the answer; then without a round trip", async () => {
    const [one, two] = await Promise.all([
      mappings.mapHost("2001:db8::1"),
      mappings.mapHost("2001:DB8:0::1"),
    ]);
    assert.equal(one.kind, "mapped");
    assert.deepEqual(two, one);
    assert.equal(calls.claim, 1);
    const nat4 = one.kind === "mapped" ? one.nat4 : "";
    assert.equal(sink.held.get(nat4), "2001:db8::1");
    assert.equal(await store.get(nat4), encodeValue("2001:db8::1"));
    const before = { ...calls };
    assert.deepEqual(await mappings.mapHost("2001:db8:0:0::1"), one);
    assert.deepEqual(calls, before);
    assert.equal(mappings.status().poolUsed, 2);
  });

  test("mapHost of a host mapped by hand outside the pool answers with that", async () => {
    assert.deepEqual(await mappings.mapHost("2002::10:20:2:206"), { kind: "mapped", nat4: outside });
  });

  for (const text of ["::ffff:1.2.3.4", "fe80::1", "ff02::1", "::1", "nonsense"])
    test(`mapHost(${text}) is refused`, () => assert.rejects(mappings.mapHost(text), TypeError));

  test("an entry added, changed and removed by another process reaches the engine within a second", async () => {
    await lab.foreignSet(keyOf("10.200.0.1"), encodeValue("2001:db8::a"));
    assert.ok((await until("added", () => sink.held.get("10.200.0.1") === "2001:db8::a")) < 1000);
    await lab.foreignDelete(keyOf("10.200.0.1"));
    assert.ok((await until("removed", () => !sink.held.has("10.200.0.1"))) < 1000);
    await lab.foreignSet(keyOf("10.200.0.1"), encodeValue("2001:db8::b"));
    assert.ok((await until("other host", () => sink.held.get("10.200.0.1") === "2001:db8::b")) < 1000);
  });

  test("a good entry replaced by rubbish leaves the engine; the rubbish stays stored", async () => {
    await lab.foreignDelete(keyOf("10.200.0.1"));
    await lab.foreignSet(keyOf("10.200.0.1"), "rubbish");
    await until("counted", () => mappings.status().malformed === 2);
    assert.equal(sink.held.has("10.200.0.1"), false);
    assert.equal(await store.get("10.200.0.1"), "rubbish");
  });

  test("lookup: found and installed; absent ones are remembered for a moment, outside ones never asked", async () => {
    await store.claim("10.9.0.7", encodeValue("2001:db8::7"));
    assert.deepEqual(await Promise.all([mappings.lookup("10.9.0.7"), mappings.lookup("10.9.0.7")]), [
      "2001:db8::7",
      "2001:db8::7",
    ]);
    assert.equal(sink.held.get("10.9.0.7"), "2001:db8::7");
    const before = calls.get;
    assert.equal(await mappings.lookup("10.9.0.8"), undefined);
    assert.equal(await mappings.lookup("10.9.0.8"), undefined);
    assert.equal(await mappings.lookup("8.8.8.8"), undefined);
    assert.equal(await mappings.lookup("10.9.0.200"), undefined);
    assert.equal(calls.get, before + 2);
    await store.claim("10.9.0.8", encodeValue("2001:db8::8"));
    await until("seen", async () => (await mappings.lookup("10.9.0.8")) === "2001:db8::8", 1000);
  });

  for (const [who, most, done] of [
    ["packets", undefined, 256],
    ["names", 64, 64],
  ] as const)
    test(`lookups at once, for ${who}: ${done} are made, the rest is refused and not taken for absent`, async () => {
      const net = `10.${who === "packets" ? 77 : 78}`;
      mappings.setPool({ subnet: `${net}.0.0/16`, reserved: 0 });
      const said = await Promise.allSettled(
        Array.from({ length: 300 }, (_, index) =>
          mappings.lookup(`${net}.${index >> 8}.${index & 255}`, most),
        ),
      );
      mappings.setPool({ subnet: "10.9.0.0/24", reserved: 0 });
      assert.equal(said.filter(({ status }) => status === "fulfilled").length, done);
      for (const each of said)
        if (each.status === "rejected") assert.equal(each.reason.code, "EG46_STORE_UNAVAILABLE");
    });

  test("an install that the engine refuses fails the call, and the next call tries again", async () => {
    sink.fail = true;
    await assert.rejects(mappings.mapHost("2001:db8::99"), /engine stopped/);
    sink.fail = false;
    const mapped = await mappings.mapHost("2001:db8::99");
    assert.equal(mapped.kind === "mapped" && sink.held.get(mapped.nat4), "2001:db8::99");
  });

  test("another subnet: exhausted, the old addresses go on; without a pool only known hosts are mapped", async () => {
    const known = await mappings.mapHost("2001:db8::1");
    mappings.setPool({ subnet: "10.10.0.0/30", reserved: 1 });
    assert.deepEqual(await mappings.mapHost("2001:db8::51"), { kind: "mapped", nat4: "10.10.0.2" });
    assert.deepEqual(await mappings.mapHost("2001:db8::52"), { kind: "exhausted" });
    assert.deepEqual(await mappings.mapHost("2001:db8::1"), known);
    assert.match(mappings.status().poolNote ?? "", /10\.10\.0\.0\/30 is exhausted: .*\(1 of 1 addresses\)/);
    mappings.setPool(undefined);
    assert.deepEqual(await mappings.mapHost("2001:db8::1"), known);
    assert.deepEqual(await mappings.mapHost("2001:db8::53"), { kind: "exhausted" });
    assert.throws(() => mappings.setPool({ subnet: "rubbish", reserved: 0 }), TypeError);
  });

  test("another subnet: made by DNS46, a host moves there and keeps its old address; made by hand, it stays", async () => {
    mappings.setPool({ subnet: "10.12.0.0/24", reserved: 10 });
    const old = await mappings.mapHost("2001:db8::80");
    // Reserved: not one of the host's candidates, so somebody chose it.
    await store.claim("10.12.0.5", encodeValue("2001:db8::81"));
    await until("by hand", () => sink.held.has("10.12.0.5"));
    mappings.setPool({ subnet: "10.13.0.0/24", reserved: 10 });
    const moved = await mappings.mapHost("2001:db8::80");
    assert.ok(moved.kind === "mapped" && moved.nat4.startsWith("10.13.0."));
    assert.deepEqual(await mappings.mapHost("2001:db8::80"), moved);
    assert.equal(sink.held.get(old.kind === "mapped" ? old.nat4 : ""), "2001:db8::80");
    assert.deepEqual(await mappings.mapHost("2001:db8::81"), { kind: "mapped", nat4: "10.12.0.5" });
    assert.deepEqual(await mappings.mapHost("2002::10:20:2:206"), { kind: "mapped", nat4: outside });
    mappings.setPool({ subnet: "10.12.0.0/24", reserved: 10 });
    assert.deepEqual(await mappings.mapHost("2001:db8::80"), old);
  });

  test("an answer that is out of date before it is installed is asked for again", async () => {
    await mappings.close();
    const late = recorder();
    const host6 = "2001:db8::70";
    let stale: string | undefined;
    // While the window is read, another gateway claims for our host, and an operator deletes that at once.
    const racing: MappingStore = {
      ...store,
      async window(nat4s) {
        if (stale !== undefined) return store.window(nat4s);
        stale = nat4s[3]!;
        await store.claim(stale, encodeValue(host6));
        const values = await store.window(nat4s);
        const known = () => fresh.list().some(({ nat4 }) => nat4 === stale);
        await until("the claim seen", known);
        await store.release(stale);
        await until("the deletion seen", () => !known());
        return values;
      },
    };
    const fresh = createMappings({ store: racing, sink: late, log: quiet });
    fresh.setPool({ subnet: "10.11.0.0/24", reserved: 0 });
    await fresh.start();
    const answer = await fresh.mapHost(host6);
    const nat4 = answer.kind === "mapped" ? answer.nat4 : "";
    assert.notEqual(nat4, stale);
    assert.equal(await store.get(nat4), encodeValue(host6));
    assert.equal(late.held.get(nat4), host6);
    assert.equal(late.held.has(stale!), false);
    await fresh.close();
  });

  // While a known mapping's lease is renewed for an answer, its address goes to another host.
  for (const [what, renewal] of [
    ["goes through", async (renew: () => Promise<Renewal[]>) => renew()],
    ["fails", async () => Promise.reject(new Error("out of reach"))],
  ] as const)
    test(`an address that changes hands while its lease is renewed is not answered with: the renewal ${what}`, async () => {
      const nat4 = "10.14.0.7";
      const [ours, theirs] = ["2001:db8::71", "2001:db8::72"];
      const lease = { entryMs: 60_000, heldMs: 120_000 };
      const own = recorder();
      let handed = false;
      const handing: MappingStore = {
        ...store,
        async renew(leases) {
          if (!handed) {
            handed = true;
            await store.release(nat4);
            await store.claim(nat4, encodeValue(theirs, 10), { host6: theirs, ...lease });
            await until("the other host's", () => own.held.get(nat4) === theirs);
          }
          return renewal(() => store.renew(leases));
        },
      };
      await store.claim(nat4, encodeValue(ours, 10), { host6: ours, ...lease });
      const life = { leaseMs: 10_000, graceMs: 60_000, quarantineMs: 0 };
      const fresh = createMappings({ store: handing, sink: own, log: quiet, life });
      fresh.setPool({ subnet: "10.14.0.0/24", reserved: 0 });
      await fresh.start();
      try {
        const answer = await fresh.mapHost(ours);
        assert.ok(answer.kind === "mapped" && answer.nat4 !== nat4);
        assert.equal(own.held.get(answer.nat4), ours);
      } finally {
        await fresh.close();
        await store.release(nat4);
      }
    });

  test("after a failover what was assured is renewed again before it is answered with", async () => {
    let lineage = "one";
    let renewals = 0;
    let resync = () => {};
    const failing: MappingStore = {
      ...store,
      lineage: () => lineage,
      watch(listener, signal) {
        resync = listener.resync;
        return store.watch(listener, signal);
      },
      async renew(leases) {
        renewals++;
        return store.renew(leases);
      },
    };
    const life = { leaseMs: 60_000, graceMs: 60_000, quarantineMs: 0 };
    const fresh = createMappings({ store: failing, sink: recorder(), log: quiet, life });
    fresh.setPool({ subnet: "10.15.0.0/24", reserved: 0 });
    await fresh.start();
    try {
      const answer = await fresh.mapHost("2001:db8::61");
      assert.deepEqual(await fresh.mapHost("2001:db8::61"), answer);
      assert.equal(renewals, 0);
      lineage = "two";
      resync();
      await until("renewed", async () => {
        assert.deepEqual(await fresh.mapHost("2001:db8::61"), answer);
        return renewals === 1;
      });
    } finally {
      await fresh.close();
    }
  });

  test("a value that is told again and again while it is read is no change", async () => {
    const [nat4, value] = ["10.16.0.7", encodeValue("2001:db8::62")];
    let changed = (_nat4: string, _value: string) => {};
    const telling: MappingStore = {
      ...store,
      watch(listener, signal) {
        changed = listener.changed;
        return store.watch({ changed() {}, resync: listener.resync }, signal);
      },
      async get(text) {
        const found = await store.get(text);
        if (found !== undefined) changed(text, found);
        return found;
      },
    };
    const fresh = createMappings({ store: telling, sink: recorder(), log: quiet });
    fresh.setPool({ subnet: "10.16.0.0/24", reserved: 0 });
    await fresh.start();
    try {
      await store.claim(nat4, value);
      assert.equal(await fresh.lookup(nat4), "2001:db8::62");
    } finally {
      await fresh.close();
      await store.release(nat4);
    }
  });
});
