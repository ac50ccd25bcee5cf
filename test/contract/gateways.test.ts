import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { bytesToIpv6, numberToIpv4 } from "../../src/addresses.ts";
import { hasCode } from "../../src/errors.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { createMappings, type Mappings } from "../../src/mappings/mappings.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { needs } from "../support/exec.ts";
import { quiet, redisLab, type StoreLab, until } from "../support/mapping-stores.ts";

/** One gateway's mapping side: its own connections, its own engine stand-in. */
async function gateway(lab: StoreLab, subnet: string) {
  const held = new Map<string, string>();
  const sink = {
    install: async (nat4: number, host6: Uint8Array) => void held.set(numberToIpv4(nat4), bytesToIpv6(host6)),
    remove: async (nat4: number) => void held.delete(numberToIpv4(nat4)),
  };
  const store = await lab.open();
  const mappings = createMappings({ store, sink, log: quiet });
  mappings.setPool({ subnet, reserved: 0 });
  return {
    held,
    store,
    mappings,
    async close() {
      await mappings.close();
      await store.close();
    },
  };
}

/** As a DNS client does on SERVFAIL: asks again after a while. A busy machine may make a store late. */
async function mapPatiently(mappings: Mappings, host: string) {
  const endMs = performance.now() + 20_000;
  for (;;)
    try {
      return await mappings.mapHost(host);
    } catch (error) {
      if (performance.now() > endMs || !hasCode(error, "EG46_STORE_UNAVAILABLE")) throw error;
      await delay(500);
    }
}

/** Deterministic order for gateway `seed`. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const all = [...items];
  let state = seed;
  for (let index = all.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const other = state % (index + 1);
    [all[index], all[other]] = [all[other]!, all[index]!];
  }
  return all;
}

async function stored(store: MappingStore): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for await (const [nat4, value] of store.list()) all.set(nat4, value);
  return all;
}

describe("gateways that share one Redis", needs("redis-server"), () => {
  let lab: StoreLab;
  before(async () => {
    lab = await redisLab();
  });
  after(() => lab?.stop());

  const subnets = { "a roomy pool (30 % used)": "10.20.0.0/22", "a tight pool (59 % used)": "10.30.0.0/23" };
  for (const [name, subnet] of Object.entries(subnets))
    test(`four, asked for the same 300 hosts at once in different orders, ${name}: same answers, none wasted`, async () => {
      await lab.redis?.cli("FLUSHALL");
      const gateways = await Promise.all([1, 2, 3, 4].map(() => gateway(lab, subnet)));
      try {
        // Not all are in sync when the questions come, as after a restart.
        await Promise.all(gateways.slice(0, 2).map(({ mappings }) => mappings.start()));
        const hosts = Array.from({ length: 300 }, (_, index) => `2001:db8:1::${(index + 1).toString(16)}`);
        const answers = await Promise.all(
          gateways.map(async ({ mappings }, index) => {
            const order = shuffled(hosts, index + 1);
            return new Map(
              await Promise.all(
                order.map(
                  async (host) => [host, JSON.stringify(await mapPatiently(mappings, host))] as const,
                ),
              ),
            );
          }),
        );
        const [first, ...others] = answers;
        for (const host of hosts) {
          assert.match(first?.get(host) ?? "", /mapped/);
          for (const other of others) assert.equal(other.get(host), first?.get(host));
        }
        assert.equal(new Set(first?.values()).size, 300);
        const all = await stored(gateways[0]!.store);
        assert.equal(all.size, 300);
        assert.equal(new Set(all.values()).size, 300);
        for (const { held } of gateways.slice(0, 2)) await until("in sync", () => held.size === 300);
      } finally {
        for (const each of gateways) await each.close();
      }
    });

  test("the specification's SETNX works within a second; a second SETNX is refused; DEL and SETNX move it", async () => {
    const one = await gateway(lab, "10.244.50.0/24");
    try {
      await one.mappings.start();
      const key = "0073c3b6eft_dns4610.144.175.220";
      const setnx = (host6: string) => lab.redis?.cli("SETNX", key, `0001000000000000000000000002${host6}`);
      const engineHas = (host6: string | undefined) => () => one.held.get("10.144.175.220") === host6;
      assert.equal(await setnx("2002::10:20:2:206"), "1");
      assert.ok((await until("installed", engineHas("2002::10:20:2:206"))) < 1000);
      assert.equal(await setnx("2002::1"), "0");
      await lab.redis?.cli("DEL", key);
      assert.equal(await setnx("2002::1"), "1");
      assert.ok((await until("moved", engineHas("2002::1"))) < 1000);
      await lab.redis?.cli("DEL", key);
      assert.ok((await until("removed", engineHas(undefined))) < 1000);
    } finally {
      await one.close();
    }
  });

  test("a key of another type is counted and named at once, and again a mapping when it is mended", async () => {
    const one = await gateway(lab, "10.70.0.0/24");
    try {
      await one.mappings.start();
      const before = one.mappings.status().malformed;
      await lab.redis?.cli("LPUSH", keyOf("10.70.0.9"), "x");
      assert.ok((await until("counted", () => one.mappings.status().malformed === before + 1)) < 1000);
      await lab.redis?.cli("DEL", keyOf("10.70.0.9"));
      await lab.foreignSet(keyOf("10.70.0.9"), encodeValue("2001:db8::79"));
      await until("mended", () => one.held.get("10.70.0.9") === "2001:db8::79");
      assert.equal(one.mappings.status().malformed, before);
    } finally {
      await one.close();
    }
  });

  test("an outage: a host that moves to another subnet keeps its old address meanwhile", async () => {
    const one = await gateway(lab, "10.71.0.0/24");
    try {
      await one.mappings.start();
      const old = await one.mappings.mapHost("2001:db8::7a");
      one.mappings.setPool({ subnet: "10.72.0.0/24", reserved: 0 });
      lab.redis?.pause();
      await until("away", () => !one.mappings.status().storeConnected);
      assert.match(one.mappings.status().storeProblem ?? "", /Socket timeout|no answer/);
      assert.deepEqual(await one.mappings.mapHost("2001:db8::7a"), old);
      lab.redis?.resume();
      await until("back", () => one.mappings.status().storeConnected);
      const moved = await mapPatiently(one.mappings, "2001:db8::7a");
      assert.ok(moved.kind === "mapped" && moved.nat4.startsWith("10.72.0."));
    } finally {
      lab.redis?.resume();
      await one.close();
    }
  });

  test("an outage: known hosts are answered, new ones rejected in bounded time; changes made meanwhile arrive", async () => {
    const one = await gateway(lab, "10.40.0.0/24");
    try {
      await one.mappings.start();
      const known = await one.mappings.mapHost("2001:db8::1");
      await lab.foreignSet(keyOf("10.50.0.1"), encodeValue("2001:db8::51"));
      await until("installed", () => one.held.has("10.50.0.1"));
      await lab.redis?.kill();
      await until("away", () => !one.mappings.status().storeConnected);
      assert.deepEqual(await one.mappings.mapHost("2001:db8::1"), known);
      const startMs = performance.now();
      const away = { code: "EG46_STORE_UNAVAILABLE" };
      await Promise.all([
        assert.rejects(one.mappings.mapHost("2001:db8::2"), away),
        assert.rejects(one.mappings.lookup("10.40.0.250"), away),
      ]);
      assert.ok(performance.now() - startMs < 1500);
      // It comes back empty, but for one entry: the others are put back.
      await lab.redis?.restart();
      await lab.foreignSet(keyOf("10.50.0.2"), encodeValue("2001:db8::52"));
      await until("resync", () => one.held.has("10.50.0.2"));
      await until(
        "put back",
        async () => (await lab.foreignGet(keyOf("10.50.0.1"))) === encodeValue("2001:db8::51"),
      );
      assert.ok(one.held.has("10.50.0.1"));
      assert.equal((await one.mappings.mapHost("2001:db8::2")).kind, "mapped");
    } finally {
      await one.close();
    }
  });

  test("store away at start: start resolves after its 2 s, the mappings come when the store does", async () => {
    await lab.foreignSet(keyOf("10.60.0.1"), encodeValue("2001:db8::61"));
    lab.redis?.pause();
    const one = await gateway(lab, "10.60.0.0/24");
    try {
      const startMs = performance.now();
      await one.mappings.start();
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs > 1500 && tookMs < 4000, `${tookMs}`);
      assert.equal(one.mappings.status().storeConnected, false);
      lab.redis?.resume();
      await until("loaded", () => one.held.get("10.60.0.1") === "2001:db8::61");
      assert.equal(one.mappings.status().storeConnected, true);
    } finally {
      lab.redis?.resume();
      await one.close();
    }
  });
});
