/** Sentinel and Cluster in trouble: what was confirmed stays, what cannot be confirmed is refused in bounded time. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bytesToIpv6, numberToIpv4 } from "../../src/addresses.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { createMappings } from "../../src/mappings/mappings.ts";
import { openStore, type StoreOptions } from "../../src/mappings/open.ts";
import { poolOf, windowOf } from "../../src/mappings/pool.ts";
import { heldKey, leasesMark } from "../../src/mappings/record-keys.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { needs } from "../support/exec.ts";
import { quiet, recorded, until } from "../support/mapping-stores.ts";
import { freePort, startRedis } from "../support/redis.ts";
import { startCluster, startSentinels, type TestSentinels } from "../support/redis-groups.ts";

const value = encodeValue("2001:db8::1");
const unavailable = { code: "EG46_STORE_UNAVAILABLE" };

async function rejectsSoon(call: Promise<unknown>, message = /./): Promise<void> {
  const startMs = performance.now();
  await assert.rejects(call, { ...unavailable, message });
  assert.ok(performance.now() - startMs < 1500);
}

/** Asks for hosts one after another, as clients do: again after a failure. */
async function gateway(spec: string, subnet: string, log = quiet) {
  const held = new Map<string, string>();
  const sink = {
    install: async (nat4: number, host6: Uint8Array) => void held.set(numberToIpv4(nat4), bytesToIpv6(host6)),
    remove: async (nat4: number) => void held.delete(numberToIpv4(nat4)),
  };
  const store = await openStore({ spec, log });
  const mappings = createMappings({ store, sink, log });
  mappings.setPool({ subnet, reserved: 0 });
  await mappings.start();
  return {
    ...{ held, store, mappings },
    async close() {
      await mappings.close();
      await store.close();
    },
  };
}

type Gateway = Awaited<ReturnType<typeof gateway>>;

/** Every answer given, by whichever gateway; an answer that contradicts one before ends the test. */
function ledger() {
  const byHost = new Map<string, string>();
  const byAddress = new Map<string, string>();
  return {
    byHost,
    enter(host: string, nat4: string) {
      assert.equal(byHost.get(host) ?? nat4, nat4, `${host} has another address than before`);
      assert.equal(byAddress.get(nat4) ?? host, host, `${nat4} is another host's than before`);
      byHost.set(host, nat4);
      byAddress.set(nat4, host);
    },
  };
}

async function stored(store: MappingStore): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for await (const [nat4, text] of store.list()) all.set(nat4, text);
  return all;
}

/** Four gateways ask for the same hosts in different orders while `trouble` happens; everything is answered in the end. */
async function claimsDuring(
  gateways: readonly Gateway[],
  hosts: readonly string[],
  trouble: () => Promise<void>,
) {
  const book = ledger();
  let answers = 0;
  const asking = gateways.map(async ({ mappings }, seed) => {
    for (const index of hosts.keys()) {
      const host = hosts[(index * 7 + seed * 31) % hosts.length]!;
      for (const endMs = performance.now() + 15_000; ; ) {
        try {
          const found = await mappings.mapHost(host);
          assert.equal(found.kind, "mapped");
          if (found.kind === "mapped") book.enter(host, found.nat4);
          answers++;
          break;
        } catch (error) {
          if ((error as { code?: string }).code !== unavailable.code || performance.now() > endMs)
            throw error;
          await delay(50);
        }
      }
      // Spread over the time of a failover.
      await delay(4);
    }
  });
  await until("claims under way", () => answers > hosts.length / 2);
  await trouble();
  await Promise.all(asking);
  await until("all in sync", () => gateways.every(({ held }) => held.size >= hosts.length), 10_000);
  const all = await stored(gateways[0]!.store);
  for (const [host, nat4] of book.byHost) assert.equal(all.get(nat4), encodeValue(host), `${nat4} was lost`);
  assert.equal(all.size, hosts.length, "nothing is leaked");
  for (const { held } of gateways) for (const [host, nat4] of book.byHost) assert.equal(held.get(nat4), host);
}

const hosts = Array.from({ length: 251 }, (_, index) => `2001:db8:9::${(index + 1).toString(16)}`);

const failovers: Record<string, (sentinels: TestSentinels) => Promise<void>> = {
  "the primary is killed": ({ servers }) => servers[0]!.kill(),
  "an operator's SENTINEL FAILOVER": async ({ sentinel }) =>
    void (await sentinel.cli("SENTINEL", "FAILOVER", "mymaster")),
  "the primary stops (SIGSTOP) and comes back": async ({ servers, sentinel }) => {
    servers[0]!.pause();
    await until("promotion", async () => {
      const named = await sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster");
      return named.endsWith(String(servers[1]!.port));
    });
    servers[0]!.resume();
  },
};

describe("redis behind sentinels: failover", needs("redis-server"), () => {
  for (const [name, trouble] of Object.entries(failovers))
    test(`${name} while four gateways claim: no answer is lost or changes its meaning`, async () => {
      const sentinels = await startSentinels();
      const gateways: Gateway[] = [];
      try {
        for (let index = 0; index < 4; index++) gateways.push(await gateway(sentinels.url, "10.20.0.0/22"));
        await claimsDuring(gateways, hosts, () => trouble(sentinels));
        assert.notEqual(await sentinels.primary(), sentinels.servers[0]);
        await (await sentinels.primary()).cli("SETNX", keyOf("10.99.0.1"), value);
        for (const { held } of gateways)
          await until("the watch follows the new primary", () => held.has("10.99.0.1"));
        for (const { mappings } of gateways) assert.equal(mappings.status().conflicts, 0);
      } finally {
        for (const each of gateways) await each.close();
        await sentinels.stop();
      }
    });

  test("one of two replicas is promoted: what only the other one confirms is nobody's answer; later it counts", async () => {
    const config = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"];
    const primary = await startRedis({ config });
    const started = [primary];
    const gateways: Gateway[] = [];
    try {
      for (let index = 0; index < 2; index++)
        started.push(await startRedis({ config: [...config, `replicaof 127.0.0.1 ${primary.port}`] }));
      await until(
        "followed",
        async () =>
          (await primary.cli("INFO", "replication")).match(/state=online,offset=[1-9]/g)?.length === 2,
        10_000,
      );
      for (let index = 0; index < 2; index++) gateways.push(await gateway(primary.url, "10.20.0.0/24"));
      const [one, two] = gateways as [Gateway, Gateway];
      assert.equal((await one.mappings.mapHost("2001:db8::a")).kind, "mapped");
      await started[1]!.cli("REPLICAOF", "NO", "ONE");
      const host = "2001:db8::b";
      const nat4 = numberToIpv4(windowOf(poolOf({ subnet: "10.20.0.0/24", reserved: 0 }), host)[0]!);
      await rejectsSoon(one.store.claim(nat4, encodeValue(host)), /1 of 2 replicas/);
      assert.equal(await primary.cli("GET", keyOf(nat4)), encodeValue(host), "it is there all the same");
      for (const { mappings } of [one, two, one]) {
        await delay(300);
        await rejectsSoon(mappings.mapHost(host), /1 of 2 replicas/);
      }
      for (const { mappings } of [one, two]) {
        const answered = async () => {
          const found = await mappings.mapHost(host).catch(() => undefined);
          if (found !== undefined) assert.deepEqual(found, { kind: "mapped", nat4 });
          return found !== undefined;
        };
        await until("it goes on with the replica that is left", answered, 20_000);
      }
    } finally {
      for (const each of gateways) await each.close();
      for (const server of started.reverse()) await server.stop();
    }
  });

  describe("a replica that doesn't confirm, a primary that is none", () => {
    let sentinels: TestSentinels;
    let store: MappingStore;
    before(async () => {
      sentinels = await startSentinels({
        sentinelConfig: ["sentinel down-after-milliseconds mymaster 60000"],
      });
      store = await openStore({ spec: sentinels.url, log: quiet });
      await store.get("10.0.0.1");
    });
    after(async () => {
      await store?.close();
      await sentinels?.stop();
    });

    test("replica stopped: the claim is refused in bounded time, and confirmed by a later look", async () => {
      const [primary, replica] = sentinels.servers;
      replica!.pause();
      await rejectsSoon(store.claim("10.0.0.2", value), /0 of 1 replicas/);
      assert.equal(await primary!.cli("GET", keyOf("10.0.0.2")), value);
      await rejectsSoon(store.getMany(["10.0.0.2"]), /0 of 1 replicas/);
      assert.equal(await store.get("10.0.0.2"), value);
      replica!.resume();
      assert.deepEqual(await store.getMany(["10.0.0.2"]), [value]);
      assert.equal(await store.claim("10.0.0.2", value), false);
      assert.equal(await store.claim("10.0.0.3", value), true);
    });

    test("the primary becomes a replica behind the sentinel's back: refused, told why, then back", async () => {
      const [primary] = sentinels.servers;
      await primary!.cli("REPLICAOF", "127.0.0.1", String(sentinels.sentinel.port));
      await until("noticed", () => /replica, though a sentinel/.test(store.problem() ?? ""));
      await rejectsSoon(store.claim("10.0.0.4", value));
      await primary!.cli("REPLICAOF", "NO", "ONE");
      await until("back", () => store.connected());
      // The claim that was refused may have been carried out, and counts once the replica has it.
      await until("claims", async () => {
        await store.claim("10.0.0.4", value).catch(() => {});
        const [found] = await store.getMany(["10.0.0.4"]).catch(() => []);
        return found === value;
      });
    });
  });
});

describe("redis cluster: failover", needs("redis-server"), () => {
  test("a primary is killed while four gateways claim: no answer is lost or changes its meaning", async () => {
    const cluster = await startCluster({ replicas: true });
    const gateways: Gateway[] = [];
    try {
      for (let index = 0; index < 4; index++) gateways.push(await gateway(cluster.url, "10.20.0.0/22"));
      await claimsDuring(gateways, hosts.slice(0, 101), () => cluster.nodes[2]!.kill());
      // This key's slot was the killed one's.
      const nat4 = "10.99.0.3";
      assert.equal(await gateways[0]!.store.claim(nat4, value), true);
      for (const { held } of gateways) await until("followed", () => held.has(nat4));
    } finally {
      for (const each of gateways) await each.close();
      await cluster.stop();
    }
  });

  test("slots that move: MOVED and ASK are followed, changes go on being seen", async () => {
    const cluster = await startCluster();
    const one = await gateway(cluster.url, "10.20.0.0/24");
    try {
      const [from, to] = cluster.nodes;
      const nat4 = await addressBelow(5461, cluster.cli);
      assert.equal(await one.store.claim(nat4, value), true);
      const slot = await cluster.cli("CLUSTER", "KEYSLOT", keyOf(nat4));
      const [fromId, toId] = [await from!.cli("CLUSTER", "MYID"), await to!.cli("CLUSTER", "MYID")];
      await to!.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
      await from!.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
      await from!.cli("MIGRATE", "127.0.0.1", String(to!.port), keyOf(nat4), "0", "1000");
      assert.equal(await one.store.get(nat4), value, "ASK");
      assert.deepEqual(await one.store.getMany([nat4]), [value]);
      assert.equal(await one.store.claim(nat4, value), false);
      for (const node of [to!, from!]) await node.cli("CLUSTER", "SETSLOT", slot, "NODE", toId);
      assert.equal(await one.store.get(nat4), value, "MOVED");
      await until("known", () => one.held.has(nat4));
      assert.equal(await one.store.release(nat4), true);
      await until("deletion seen", () => !one.held.has(nat4));
    } finally {
      await one.close();
      await cluster.stop();
    }
  });

  /** An address whose key has a slot of the first node. */
  async function addressBelow(limit: number, cli: (...args: string[]) => Promise<string>): Promise<string> {
    for (let last = 1; ; last++) {
      const nat4 = `10.98.0.${last}`;
      if (Number(await cli("CLUSTER", "KEYSLOT", keyOf(nat4))) < limit) return nat4;
    }
  }
});

describe("redis: lost entries, refusals, access lists", needs("redis-server"), () => {
  test("a server that starts anew without its data: what we know is put back; another's entry wins and is named", async () => {
    const redis = await startRedis();
    const { log, lines } = recorded();
    const one = await gateway(redis.url, "10.20.0.0/24", log);
    try {
      const answers = [];
      for (const host of ["2001:db8::a", "2001:db8::b", "2001:db8::d"])
        answers.push(await one.mappings.mapHost(host));
      const [kept, taken, held] = answers.map((each) => (each.kind === "mapped" ? each.nat4 : ""));
      const byOthers = "00ff00000000000000000000000a2001:db8::f5";
      await redis.cli("SETNX", keyOf("10.99.0.5"), byOthers);
      await until("known", () => one.held.has("10.99.0.5"));
      await redis.kill();
      await until("away", () => !one.store.connected());
      await redis.restart();
      await redis.cli(
        ...["MSET", keyOf(taken!), encodeValue("2001:db8::c")],
        ...[heldKey(held!), "2001:db8::c", leasesMark, "1"],
      );
      await until(
        "put back",
        async () => (await redis.cli("GET", keyOf(kept!))) === encodeValue("2001:db8::a"),
      );
      await until(
        "as others wrote it",
        async () => (await redis.cli("GET", keyOf("10.99.0.5"))) === byOthers,
      );
      await until("the store wins", () => one.held.get(taken!) === "2001:db8::c");
      assert.equal(one.held.get(kept!), "2001:db8::a");
      await until("counted", () => one.mappings.status().conflicts === 2);
      for (const [nat4, host6] of [
        [taken, "2001:db8::b"],
        [held, "2001:db8::d"],
      ])
        assert.ok(
          lines.some((line) => line.startsWith(`mapping conflict: ${nat4} was given out for ${host6}, `)),
          JSON.stringify(lines),
        );
      await until("the held one is gone", () => !one.held.has(held!));
      assert.equal(await redis.cli("GET", keyOf(held!)), "");
      // The host that lost its address gets another one.
      const next = await one.mappings.mapHost("2001:db8::b");
      assert.ok(next.kind === "mapped" && next.nat4 !== taken);
    } finally {
      await one.close();
      await redis.stop();
    }
  });

  test("a SET over an entry in use is named, once; over one that nobody uses it is not", async () => {
    const redis = await startRedis();
    const { log, lines } = recorded();
    const one = await gateway(redis.url, "10.20.0.0/24", log);
    try {
      const found = await one.mappings.mapHost("2001:db8::a");
      const used = found.kind === "mapped" ? found.nat4 : "";
      await redis.cli("SET", keyOf("10.99.0.6"), encodeValue("2001:db8::6"));
      await until("known", () => one.held.has("10.99.0.6"));
      for (const nat4 of ["10.99.0.6", used]) {
        await redis.cli("SET", keyOf(nat4), encodeValue("2001:db8::c"));
        await until("in force", () => one.held.get(nat4) === "2001:db8::c");
      }
      await until("counted", () => one.mappings.status().conflicts > 0);
      await redis.cli("CLIENT", "KILL", "TYPE", "normal");
      await until("connected", () => one.store.connected());
      await delay(300);
      const named = lines.filter((line) => line.startsWith("mapping conflict: "));
      assert.equal(named.length, 1, named.join());
      assert.ok(named[0]!.startsWith(`mapping conflict: ${used} was given out for 2001:db8::a, `), named[0]);
      assert.equal(one.mappings.status().conflicts, 1);
    } finally {
      await one.close();
      await redis.stop();
    }
  });

  test("a DEL while our connections are cut is not undone: the server is the same", async () => {
    const redis = await startRedis();
    const one = await gateway(redis.url, "10.20.0.0/24");
    try {
      const found = await one.mappings.mapHost("2001:db8::a");
      const nat4 = found.kind === "mapped" ? found.nat4 : "";
      // The watch is cut first, so that it can't tell of the deletion.
      await redis.cli("CLIENT", "KILL", "TYPE", "pubsub");
      await redis.cli("DEL", keyOf(nat4));
      await redis.cli("CLIENT", "KILL", "TYPE", "normal");
      await until("gone", () => !one.held.has(nat4));
      await delay(500);
      assert.equal(await redis.cli("EXISTS", keyOf(nat4)), "0");
    } finally {
      await one.close();
      await redis.stop();
    }
  });

  test("--redis-wait 1 where there is no replica refuses claims and renewals; off doesn't ask", async () => {
    const redis = await startRedis();
    const strict = await openStore({ spec: redis.url, redisWait: 1, log: quiet });
    const lax = await openStore({ spec: redis.url, redisWait: "off", log: quiet });
    try {
      await rejectsSoon(strict.claim("10.0.0.1", value), /0 of 1 replicas/);
      const lease = { nat4: "10.0.0.1", host6: "2001:db8::1", own: true, entryMs: 9000, heldMs: 9000 };
      await rejectsSoon(strict.renew([lease]), /0 of 1 replicas/);
      assert.equal(await lax.claim("10.0.0.2", value), true);
    } finally {
      await strict.close();
      await lax.close();
      await redis.stop();
    }
  });

  test("a server that loads its data after a start: calls say so in bounded time", async () => {
    // So slow that it can be seen: 3 s.
    const redis = await startRedis({
      config: ["key-load-delay 1000", "loading-process-events-interval-bytes 1024"],
    });
    const store = await openStore({ spec: redis.url, log: quiet });
    try {
      assert.equal(await store.claim("10.0.0.1", value), true);
      await redis.cli("EVAL", "for i=1,3000 do redis.call('SET','x'..i,i) end", "0");
      await redis.cli("SAVE");
      await redis.kill();
      await redis.restart();
      await until("loading", () => /loads its data/.test(store.problem() ?? ""));
      await rejectsSoon(store.claim("10.0.0.2", value), /loads its data/);
      await until("usable", () => store.connected(), 10_000);
      assert.equal(await store.get("10.0.0.1"), value);
    } finally {
      await store.close();
      await redis.stop();
    }
  });

  test("a read-only replica: reads work, a claim is refused with the server's words", async () => {
    const redis = await startRedis({ config: ["replicaof 127.0.0.1 1"] });
    const store = await openStore({ spec: redis.url, log: quiet });
    try {
      assert.equal(await store.get("10.0.0.1"), undefined);
      await rejectsSoon(store.claim("10.0.0.1", value), /READONLY/);
    } finally {
      await store.close();
      await redis.stop();
    }
  });

  test("claims on a read-only replica: the connection stays, the log is quiet, the status says why", async () => {
    const primary = await startRedis();
    const replica = await startRedis({ config: [`replicaof 127.0.0.1 ${primary.port}`] });
    const { log, lines } = recorded();
    const store = await openStore({ spec: replica.url, log });
    const received = async () =>
      Number(/total_connections_received:(\d+)/.exec(await replica.cli("INFO", "stats"))?.[1]);
    try {
      await until("usable", () => store.connected());
      const before = await received();
      for (let turn = 0; turn < 100; turn++) {
        await assert.rejects(store.claim("10.0.0.1", value), unavailable);
        await delay(10);
      }
      assert.ok((await received()) - before < 10);
      assert.ok(lines.length <= 4, lines.join("\n"));
      await until("told", () => /it is a replica/.test(store.problem() ?? ""));
    } finally {
      await store.close();
      await replica.stop();
      await primary.stop();
    }
  });

  test("the access list of docs/redis.md is enough", async () => {
    const text = readFileSync(fileURLToPath(new URL("../../../docs/redis.md", import.meta.url)), "utf8");
    const rules = /^ACL SETUSER egress46 on >PASSWORD (.*)$/m.exec(text)?.[1];
    const redis = await startRedis({
      config: [`user egress46 on >secret ${rules}`, "user default on nopass ~* &* +@all"],
    });
    const { log, lines } = recorded();
    const store = await openStore({ spec: redis.url.replace("//", "//egress46:secret@"), log });
    const watching = new AbortController();
    const seen: (string | undefined)[] = [];
    let resyncs = 0;
    const watch = store.watch(
      { changed: (_, text) => void seen.push(text), resync: () => void resyncs++ },
      watching.signal,
    );
    try {
      assert.equal(await store.claim("10.0.0.1", value), true);
      assert.deepEqual(await store.getMany(["10.0.0.1", "10.0.0.2"]), [value, undefined]);
      assert.equal((await stored(store)).size, 1);
      await until("watch", () => resyncs === 1);
      assert.equal(await store.release("10.0.0.1"), true);
      await until("deletion seen", () => seen.includes(undefined));
      assert.deepEqual(lines, []);
      assert.equal(await redis.cli("ACL", "LOG"), "");
    } finally {
      watching.abort();
      await watch;
      await store.close();
      await redis.stop();
    }
  });

  test("foreign SETNX, SET and DEL are seen within 50 ms, mostly", async (t) => {
    const redis = await startRedis();
    const store = await openStore({ spec: redis.url, log: quiet });
    const watching = new AbortController();
    const seen = new Map<string, string | undefined>();
    let resyncs = 0;
    const watch = store.watch(
      { changed: (nat4, text) => void seen.set(nat4, text), resync: () => void resyncs++ },
      watching.signal,
    );
    try {
      await until("watch", () => resyncs === 1);
      const took: number[] = [];
      const key = keyOf("10.0.0.1");
      for (let round = 0; round < 10; round++)
        for (const [command, wanted] of [
          [["SETNX", key, value], value],
          [["SET", key, encodeValue("2001:db8::2")], encodeValue("2001:db8::2")],
          [["DEL", key], undefined],
        ] as const) {
          const done = redis.cli(...command).then(() => performance.now());
          await until("seen", () => seen.has("10.0.0.1") && seen.get("10.0.0.1") === wanted);
          took.push(Math.max(0, performance.now() - (await done)));
        }
      took.sort((a, b) => a - b);
      t.diagnostic(`ms after redis-cli ended: median ${took[15]}, longest ${took[29]}`);
      assert.ok(took[15]! < 50);
    } finally {
      watching.abort();
      await watch;
      await store.close();
      await redis.stop();
    }
  });

  const misnamed: Record<string, { spec: (sentinels: TestSentinels) => string; reason: RegExp }> = {
    "redis:// of a sentinel": {
      spec: ({ sentinel }) => sentinel.url,
      reason: /it is a sentinel \(redis\+sentinel/,
    },
    "redis+sentinel:// of a server": {
      spec: ({ servers }) => `redis+sentinel://127.0.0.1:${servers[0]!.port}/mymaster`,
      reason: /no sentinel names the primary 'mymaster' \(127\.0\.0\.1:\d+: it is no sentinel\)/,
    },
    "a primary that the sentinel doesn't know": {
      spec: ({ url }) => url.replace("mymaster", "other"),
      reason: /no sentinel names the primary 'other' \(.*ECONNREFUSED.*knows no primary of that name\)/,
    },
    "redis+cluster:// of a server": {
      spec: ({ servers }) => `redis+cluster://127.0.0.1:${servers[0]!.port}`,
      reason: /it is no node of a cluster \(redis:\/\/\)/,
    },
  };
  describe("a URL of the wrong kind", () => {
    let sentinels: TestSentinels;
    before(async () => {
      sentinels = await startSentinels();
    });
    after(() => sentinels?.stop());
    for (const [name, { spec, reason }] of Object.entries(misnamed))
      test(`${name}: call and status say what is there`, async () => {
        const store = await openStore({ spec: spec(sentinels), log: quiet });
        try {
          await until("the reason", () => reason.test(store.problem() ?? ""));
          await rejectsSoon(store.get("10.0.0.1"), reason);
        } finally {
          await store.close();
        }
      });
    test("redis:// of a node of a cluster", async () => {
      const redis = await startRedis({ config: ["cluster-enabled yes", `cluster-port ${await freePort()}`] });
      const store = await openStore({ spec: redis.url, log: quiet });
      try {
        await until("the reason", () => /node of a cluster \(redis\+cluster/.test(store.problem() ?? ""));
      } finally {
        await store.close();
        await redis.stop();
      }
    });
  });

  test("sentinels and servers with passwords of their own", async () => {
    const sentinels = await startSentinels({ password: "server", sentinelPassword: "guard" });
    const withServers = sentinels.url.replace("//", "//:server@");
    const [store, without] = await Promise.all(
      [`${withServers}?sentinel-password=guard`, withServers].map((spec) => openStore({ spec, log: quiet })),
    );
    try {
      assert.equal(store!.name, sentinels.url);
      assert.equal(await store!.claim("10.0.0.1", value), true);
      await rejectsSoon(without!.get("10.0.0.1"), /NOAUTH/);
    } finally {
      await store?.close();
      await without?.close();
      await sentinels.stop();
    }
  });

  test("certificates that change are those of the next connection; broken ones fail only that", async () => {
    const redis = await startRedis({ tls: true });
    const { ca, client } = redis.certificates!;
    const { readCertificates } = await import("../../src/mappings/certificates.ts");
    const good = readCertificates({ redisCa: ca, redisCert: client.cert, redisKey: client.key });
    let current: ReturnType<NonNullable<StoreOptions["certificates"]>> = { ca: good.ca };
    const store = await openStore({ spec: redis.url, certificates: () => current, log: quiet });
    try {
      await rejectsSoon(store.get("10.0.0.1"));
      await until("the reason", () => /certificate required/.test(store.problem() ?? ""));
      current = good;
      await until("connected", () => store.connected());
      assert.equal(await store.claim("10.0.0.1", value), true);
    } finally {
      await store.close();
      await redis.stop();
    }
  });
});
