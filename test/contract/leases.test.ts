import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ipv4ToNumber } from "../../src/addresses.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { openStore } from "../../src/mappings/open.ts";
import { heldKey, leasesMark } from "../../src/mappings/record-keys.ts";
import { slotOf } from "../../src/mappings/redis-slots.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { needs } from "../support/exec.ts";
import { mappingGateway } from "../support/gateway-mappings.ts";
import { lmdbLab, quiet, recorded, redisLab, type StoreLab, until } from "../support/mapping-stores.ts";
import { startCluster, type TestCluster } from "../support/redis-groups.ts";

/** The shortest that the format has, with next to nothing around it. */
const life = { leaseMs: 1000, graceMs: 100, quarantineMs: 2000 };
const maxTtl = 0.2;

const labs: Record<string, { needs: string[]; start: () => Promise<StoreLab> }> = {
  lmdb: { needs: [], start: lmdbLab },
  redis: { needs: ["redis-server"], start: redisLab },
};

for (const [name, lab] of Object.entries(labs))
  describe(`leased mappings on ${name}`, needs(...lab.needs), () => {
    let place: StoreLab;
    before(async () => {
      place = await lab.start();
    });
    after(() => place?.stop());
    const gateway = (subnet: string, parts: Parameters<typeof mappingGateway>[2] = { life }) =>
      mappingGateway(place, { subnet, maxTtl }, parts);
    async function addressOf(one: Awaited<ReturnType<typeof gateway>>, host6: string): Promise<string> {
      const answer = await one.mappings.mapHost(host6);
      return answer.kind === "mapped" ? answer.nat4 : answer.kind;
    }

    test("unused, an entry ends; used by answers or by a session, at whichever gateway, it stays", async () => {
      const [one, other] = [await gateway("10.1.0.0/24"), await gateway("10.1.0.0/24")];
      try {
        await Promise.all([one.mappings.start(), other.mappings.start()]);
        const idle = await addressOf(one, "2001:db8::1");
        const answered = await addressOf(one, "2001:db8::2");
        const busy = await addressOf(one, "2001:db8::3");
        assert.equal(await one.store.get(idle), encodeValue("2001:db8::1", 1));
        await until("the other has them", () => other.held.size === 3);
        // The gateway that made it doesn't use it: the other one's session does.
        other.sessions.add(ipv4ToNumber(busy));
        for (let round = 0; round < 14; round++) {
          assert.equal(await addressOf(other, "2001:db8::2"), answered);
          await delay(200);
        }
        assert.equal(await one.store.get(idle), undefined);
        assert.equal(one.held.has(idle), false);
        assert.equal(await one.store.get(answered), encodeValue("2001:db8::2", 1));
        assert.equal(await one.store.get(busy), encodeValue("2001:db8::3", 1));
        other.sessions.clear();
        await until("both gone", () => one.held.size === 0 && other.held.size === 0, 8000);
      } finally {
        await Promise.all([one.close(), other.close()]);
      }
    });

    test("a process that stands still beyond the end of a lease: what is in use gets its entry again, the rest not", async () => {
      const one = await gateway("10.1.9.0/24");
      try {
        await one.mappings.start();
        const busy = await addressOf(one, "2001:db8:9::1");
        const idle = await addressOf(one, "2001:db8:9::2");
        one.sessions.add(ipv4ToNumber(busy));
        await delay(100);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2200);
        await until("the idle one is gone", () => !one.held.has(idle), 8000);
        await delay(500);
        assert.equal(one.held.get(busy), "2001:db8:9::1");
        assert.equal(await one.store.get(busy), encodeValue("2001:db8:9::1", 1));
        assert.equal(await one.store.get(idle), undefined);
        await one.store.release(busy);
      } finally {
        await one.close();
      }
    });

    test("after its end an address rests: the host gets it back, another one has to wait", async () => {
      const one = await gateway("10.2.0.0/32", { life: { ...life, quarantineMs: 1500 } });
      const plain = await gateway("10.2.0.0/32", {});
      try {
        await Promise.all([one.mappings.start(), plain.mappings.start()]);
        assert.equal(await addressOf(one, "2001:db8::1"), "10.2.0.0");
        await until("the end", async () => (await one.store.get("10.2.0.0")) === undefined);
        assert.equal(await addressOf(plain, "2001:db8::2"), "exhausted", "also without leases of its own");
        assert.equal(await addressOf(one, "2001:db8::1"), "10.2.0.0");
        await until("another's", async () => (await addressOf(one, "2001:db8::2")) === "10.2.0.0", 8000);
      } finally {
        await Promise.all([one.close(), plain.close()]);
      }
    });

    test("deleted by hand it is gone at once, and the next resolution has an address at once", async () => {
      const one = await gateway("10.3.0.0/24");
      try {
        await one.mappings.start();
        const nat4 = await addressOf(one, "2001:db8::1");
        one.sessions.add(ipv4ToNumber(nat4));
        await place.foreignDelete(keyOf(nat4));
        await until("gone", () => !one.held.has(nat4), 1000);
        assert.equal(await addressOf(one, "2001:db8::1"), nat4);
        assert.equal(one.held.get(nat4), "2001:db8::1");
      } finally {
        await one.close();
      }
    });

    test("an entry by hand with a timeout is left alone", async () => {
      const one = await gateway("10.4.0.0/24");
      try {
        await one.mappings.start();
        await place.foreignSet(keyOf("10.4.0.9"), encodeValue("2001:db8::1", 1));
        await until("known", () => one.held.has("10.4.0.9"));
        assert.equal(await addressOf(one, "2001:db8::1"), "10.4.0.9");
        await delay(1500);
        assert.equal(await one.store.get("10.4.0.9"), encodeValue("2001:db8::1", 1));
        assert.deepEqual(await one.store.records.getMany([heldKey("10.4.0.9")]), [undefined]);
      } finally {
        await one.close();
      }
    });

    test("what passed for one by hand is asked for again: with its hold in place it is renewed", async () => {
      const store = await place.open();
      let refusals = 1;
      const late: typeof store = {
        ...store,
        renew: (leases) =>
          refusals-- > 0 ? Promise.resolve(leases.map(() => "foreign" as const)) : store.renew(leases),
      };
      const other = await mappingGateway(
        { open: async () => late },
        { subnet: "10.14.0.0/24", maxTtl },
        { life },
      );
      try {
        await other.mappings.start();
        const host6 = "2001:db8::1";
        await store.claim("10.14.0.9", encodeValue(host6, 1), { host6, entryMs: 1500, heldMs: 9000 });
        await until("known", () => other.held.has("10.14.0.9"));
        other.sessions.add(ipv4ToNumber("10.14.0.9"));
        await delay(2500);
        assert.equal(await store.get("10.14.0.9"), encodeValue(host6, 1));
      } finally {
        await other.close();
      }
    });

    test("a new subnet: the old mapping serves its session, then its lease lets it go", async () => {
      const one = await gateway("10.5.0.0/24");
      try {
        await one.mappings.start();
        const old = await addressOf(one, "2001:db8::51");
        one.sessions.add(ipv4ToNumber(old));
        one.mappings.setPool({ subnet: "10.6.0.0/23", reserved: 4, maxTtl });
        const fresh = await addressOf(one, "2001:db8::51");
        assert.match(fresh, /^10\.6\./);
        await delay(2000);
        assert.equal(one.held.get(old), "2001:db8::51");
        one.sessions.clear();
        await until("let go", () => !one.held.has(old), 8000);
        assert.equal(await addressOf(one, "2001:db8::51"), fresh);
      } finally {
        await one.close();
      }
    });

    test("names: what one gateway noted another one knows, in any case; ls shows it", async () => {
      const [one, other] = [await gateway("10.7.0.0/24"), await gateway("10.7.0.0/24")];
      try {
        await Promise.all([one.mappings.start(), other.mappings.start()]);
        one.mappings.noteName("WWW.Example.org.", ["2001:db8::1", "2001:db8::2"]);
        for (let index = 0; index < 20; index++)
          one.mappings.noteName(`n${index}.example.org`, ["2001:db8::3"]);
        const hosts = () => other.mappings.hostsOfName("www.example.ORG");
        await until("known", async () => (await hosts()).length === 2);
        assert.deepEqual(await hosts(), ["2001:db8::1", "2001:db8::2"]);
        const seventh = () => other.mappings.hostsOfName("n7.example.org");
        await until("the last one written", async () => (await seventh()).length > 0);
        assert.deepEqual(await seventh(), ["2001:db8::3"]);
        assert.deepEqual(await other.mappings.hostsOfName("n8.example.org"), [], "eight names a host");
        assert.deepEqual(await other.mappings.hostsOfName("unknown.example"), []);
      } finally {
        await Promise.all([one.close(), other.close()]);
      }
    });
  });

describe("a claim with a lease in a Redis Cluster", needs("redis-server"), () => {
  let cluster: TestCluster;
  let store: MappingStore;
  before(async () => {
    cluster = await startCluster();
    store = await openStore({ spec: cluster.url, log: quiet });
    await until("connected", store.connected);
  });
  after(async () => {
    await store?.close();
    await cluster?.stop();
  });
  const host6 = "2001:db8::1";
  const lease = { host6, entryMs: 60_000, heldMs: 120_000 };

  for (const [holder, claimed] of [
    [undefined, true],
    [host6, true],
    ["2001:db8::2", false],
  ] as const)
    test(`at an address held for ${holder ?? "nobody"}: ${claimed}; the hold is of whom it should be`, async () => {
      const nat4 = "10.1.0.1";
      if (holder !== undefined) await cluster.cli("SET", heldKey(nat4), holder, "PX", "60000");
      assert.equal(await store.claim(nat4, encodeValue(host6, 1), lease), claimed);
      assert.equal(await cluster.cli("GET", heldKey(nat4)), holder ?? host6);
      assert.equal(await cluster.cli("GET", keyOf(nat4)), claimed ? encodeValue(host6, 1) : "");
      assert.equal(Number(await cluster.cli("PTTL", heldKey(nat4))) > 60_000, claimed);
      await cluster.cli("DEL", keyOf(nat4));
      await cluster.cli("DEL", heldKey(nat4));
    });

  test("somebody's entry without a lease: refused, and nothing holds its address", async () => {
    await store.claim("10.1.0.2", encodeValue("2001:db8::2"));
    assert.equal(await store.claim("10.1.0.2", encodeValue(host6, 1), lease), false);
    assert.equal(await cluster.cli("EXISTS", heldKey("10.1.0.2")), "0");
  });

  test("a node is away: what the others have is renewed", async () => {
    const nat4s = Array.from({ length: 30 }, (_, index) => `10.2.0.${index}`);
    await Promise.all(nat4s.map((nat4) => store.claim(nat4, encodeValue(host6, 1), lease)));
    cluster.nodes[1]!.pause();
    try {
      const longer = { host6, own: true, entryMs: 600_000, heldMs: 900_000 };
      const renewals = await store.renew(nat4s.map((nat4) => ({ nat4, ...longer })));
      const nodeOf = (key: string) => Math.floor(slotOf(key) / 5461.34);
      assert.deepEqual(
        renewals,
        nat4s.map((nat4) =>
          [keyOf(nat4), heldKey(nat4)].some((key) => nodeOf(key) === 1) ? "unknown" : "renewed",
        ),
      );
    } finally {
      cluster.nodes[1]!.resume();
    }
    await until("back", store.connected);
  });

  test("the hold's node is away: there is no entry either", async () => {
    const nodeOf = (key: string) => Math.floor(slotOf(key) / 5461.34);
    const nat4 = ["10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.7"].find(
      (each) => nodeOf(keyOf(each)) !== nodeOf(heldKey(each)) && nodeOf(heldKey(each)) !== nodeOf(leasesMark),
    )!;
    const node = cluster.nodes[nodeOf(heldKey(nat4))]!;
    node.pause();
    try {
      await assert.rejects(store.claim(nat4, encodeValue(host6, 1), lease), {
        code: "EG46_STORE_UNAVAILABLE",
      });
    } finally {
      node.resume();
    }
    assert.equal(await cluster.cli("GET", keyOf(nat4)), "");
  });
});

describe("leased mappings and a Redis that is away", needs("redis-server"), () => {
  let place: StoreLab;
  before(async () => {
    place = await redisLab();
  });
  after(() => place?.stop());

  test("what is in use outlives an outage longer than its lease; what isn't, ends", async () => {
    const { log, lines } = recorded();
    const one = await mappingGateway(place, { subnet: "10.8.0.0/24", maxTtl }, { life, log });
    try {
      await one.mappings.start();
      const addresses: string[] = [];
      for (const host6 of ["2001:db8::1", "2001:db8::2"]) {
        const answer = await one.mappings.mapHost(host6);
        if (answer.kind === "mapped") addresses.push(answer.nat4);
      }
      const [busy = "", idle = ""] = addresses;
      one.sessions.add(ipv4ToNumber(busy));
      place.redis?.pause();
      await delay(3000);
      assert.deepEqual(await one.mappings.mapHost("2001:db8::1"), { kind: "mapped", nat4: busy });
      place.redis?.resume();
      await until("stored anew", async () => (await place.foreignGet(keyOf(busy))) !== "", 8000);
      await until("the idle one gone", () => !one.held.has(idle), 8000);
      assert.equal(one.held.get(busy), "2001:db8::1");
      assert.ok(
        lines.some((line) => /stored again/.test(line)),
        lines.join("\n"),
      );
    } finally {
      place.redis?.resume();
      await one.close();
    }
  });

  test("learnt from another gateway and answered with while Redis is away, a mapping outlives its lease, too", async () => {
    const [one, other] = [
      await mappingGateway(place, { subnet: "10.10.0.0/24", maxTtl }, { life }),
      await mappingGateway(place, { subnet: "10.10.0.0/24", maxTtl }, { life: { ...life, graceMs: 5000 } }),
    ];
    try {
      await Promise.all([one.mappings.start(), other.mappings.start()]);
      const answer = await one.mappings.mapHost("2001:db8::1");
      const nat4 = answer.kind === "mapped" ? answer.nat4 : "";
      await until("learnt", () => other.held.has(nat4));
      place.redis?.pause();
      await until("away", () => !other.mappings.status().storeConnected);
      assert.deepEqual(await other.mappings.mapHost("2001:db8::1"), answer);
      await delay(1500);
      place.redis?.resume();
      await until("stored anew", async () => (await place.foreignGet(keyOf(nat4))) !== "", 8000);
      assert.equal(other.held.get(nat4), "2001:db8::1");
    } finally {
      place.redis?.resume();
      await Promise.all([one.close(), other.close()]);
    }
  });

  test("a store that came back with another host at an address: that is reported, and the store wins", async () => {
    const { log, lines } = recorded();
    const one = await mappingGateway(place, { subnet: "10.9.0.0/24" }, { log });
    try {
      await one.mappings.start();
      const answer = await one.mappings.mapHost("2001:db8::1");
      const nat4 = answer.kind === "mapped" ? answer.nat4 : "";
      const kept = await one.mappings.mapHost("2001:db8::2");
      await place.redis?.kill();
      await until("away", () => !one.mappings.status().storeConnected);
      await place.redis?.restart();
      await place.foreignSet(keyOf(nat4), encodeValue("2001:db8::99"));
      await until("the store's", () => one.held.get(nat4) === "2001:db8::99");
      assert.deepEqual(await one.mappings.mapHost("2001:db8::2"), kept);
      await until("stored again", async () =>
        /2001:db8::2$/.test(await place.foreignGet(keyOf(kept.kind === "mapped" ? kept.nat4 : ""))),
      );
      assert.notDeepEqual(await one.mappings.mapHost("2001:db8::1"), answer);
      assert.ok(
        lines.some((line) => /mapping conflict: [\d.]+ was given out for 2001:db8::1, /.test(line)),
        lines.join("\n"),
      );
    } finally {
      await one.close();
    }
  });
});
