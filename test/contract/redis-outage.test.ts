import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { readCertificates } from "../../src/mappings/certificates.ts";
import { encodeValue, keyOf } from "../../src/mappings/codec.ts";
import { openStore } from "../../src/mappings/open.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { execute, needs } from "../support/exec.ts";
import { quiet, recorded, redisLab, type StoreLab, until } from "../support/mapping-stores.ts";
import { makeCertificates, startRedis } from "../support/redis.ts";

const value = encodeValue("2001:db8::1");

/** Asserts that the call rejects as unavailable, and soon: 1 s is the rule, the rest is for a busy test machine. */
async function rejectsSoon(call: Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  await assert.rejects(call, { code: "EG46_STORE_UNAVAILABLE" });
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs < 1500, `took ${tookMs} ms`);
}

const outages = {
  "stopped (SIGSTOP)": {
    begin: async (place: StoreLab) => place.redis?.pause(),
    end: async (place: StoreLab) => place.redis?.resume(),
  },
  "killed and started again": {
    begin: async (place: StoreLab) => place.redis?.kill(),
    end: async (place: StoreLab) => place.redis?.restart(),
  },
};

describe("redis store: outages", needs("redis-server", "openssl"), () => {
  let place: StoreLab;
  let store: MappingStore;
  let resyncs = 0;
  const seen = new Map<string, string | undefined>();
  const abort = new AbortController();
  before(async () => {
    place = await redisLab();
    store = await place.open();
    const listener = {
      changed: (nat4: string, text: string | undefined) => void seen.set(nat4, text),
      resync: () => void resyncs++,
    };
    void store.watch(listener, abort.signal);
    await until("watch in place", () => resyncs === 1);
  });
  after(async () => {
    abort.abort();
    await store?.close();
    await place?.stop();
  });

  for (const [name, outage] of Object.entries(outages))
    test(`${name}: every call rejects in bounded time, then it recovers, resyncs and watches again`, async () => {
      const before = resyncs;
      await outage.begin(place);
      await Promise.all([
        rejectsSoon(store.get("10.0.0.1")),
        rejectsSoon(store.getMany(["10.0.0.1"])),
        rejectsSoon(store.claim("10.0.0.1", value)),
        rejectsSoon(store.release("10.0.0.1")),
        rejectsSoon(store.list()[Symbol.asyncIterator]().next()),
      ]);
      await until("seen as away", () => !store.connected());
      await rejectsSoon(store.get("10.0.0.1"));
      await outage.end(place);
      await until("resync", () => resyncs > before);
      await until("answer", () =>
        store.get("10.0.0.9").then(
          () => true,
          () => false,
        ),
      );
      await place.foreignSet(keyOf("10.0.0.2"), value);
      await until("change seen", () => seen.get("10.0.0.2") === value);
      await place.foreignDelete(keyOf("10.0.0.2"));
      await until("deletion seen", () => seen.get("10.0.0.2") === undefined);
    });

  test("a claim whose answer is late is looked up again: true, once, and stored", async () => {
    await until("connected", () => store.connected());
    place.redis?.pause();
    const claim = store.claim("10.0.1.1", value);
    await delay(600);
    place.redis?.resume();
    assert.equal(await claim, true);
    assert.equal(await store.get("10.0.1.1"), value);
  });

  test("a release that timed out is not repeated after the outage", async () => {
    await until("connected", () => store.connected());
    await store.claim("10.0.1.2", value);
    await place.redis?.kill();
    await rejectsSoon(store.release("10.0.1.2"));
    await place.redis?.restart();
    await place.foreignSet(keyOf("10.0.1.2"), value);
    await until("connected", () => store.connected());
    await delay(300);
    assert.equal(await store.get("10.0.1.2"), value);
  });

  test("FLUSHALL is a resync", async () => {
    const before = resyncs;
    await place.redis?.cli("FLUSHALL");
    await until("resync", () => resyncs > before);
  });

  test("a key of another type occupies its address, and the watch tells of it", async () => {
    await place.redis?.cli("LPUSH", keyOf("10.0.1.3"), "x");
    assert.ok((await until("seen", () => seen.get("10.0.1.3") === "(not a string)")) < 1000);
    assert.equal(await store.claim("10.0.1.3", value), false);
    assert.equal(await store.get("10.0.1.3"), "(not a string)");
    const all = new Map<string, string>();
    for await (const [nat4, text] of store.list()) all.set(nat4, text);
    assert.equal(all.get("10.0.1.3"), "(not a string)");
  });

  test("the server never saw CONFIG SET", async () => {
    assert.doesNotMatch((await place.redis?.cli("INFO", "commandstats")) ?? "", /config\|set/);
  });

  test("down at start: opening resolves, calls reject in bounded time, it connects by itself later", async () => {
    const late = await redisLab();
    await late.redis?.kill();
    const early = await late.open();
    try {
      assert.equal(early.connected(), false);
      await rejectsSoon(early.get("10.0.0.1"));
      await late.redis?.restart();
      await until("answer", () => early.claim("10.0.0.1", value).catch(() => false));
    } finally {
      await early.close();
      await late.stop();
    }
  });

  test("close while the server is stopped does not hang", async () => {
    const other = await place.open();
    await other.get("10.0.0.1");
    const done = other.watch({ changed() {}, resync() {} }, new AbortController().signal);
    await delay(100);
    place.redis?.pause();
    const pending = rejectsSoon(other.get("10.0.0.1"));
    const startMs = performance.now();
    await other.close();
    await done;
    assert.ok(performance.now() - startMs < 1000);
    await pending;
    place.redis?.resume();
    await until("connected", () => store.connected());
  });
});

describe("redis store: getting in", needs("redis-server", "openssl"), () => {
  test("user, password and database number from the URL", async () => {
    const redis = await startRedis({ config: ["user gate on >p%40ss ~0073* &* +@all", "user default off"] });
    const inside = await startRedis({ config: ["requirepass secret"] });
    const store = await openStore({ spec: redis.url.replace("//", "//gate:p%2540ss@"), log: quiet });
    const second = await openStore({ spec: `${inside.url.replace("//", "//:secret@")}/3`, log: quiet });
    const wrong = await openStore({ spec: inside.url.replace("//", "//:wrong@"), log: quiet });
    const beyond = await openStore({ spec: `${inside.url.replace("//", "//:secret@")}/99`, log: quiet });
    try {
      assert.equal(store.name, `${redis.url}`);
      assert.equal(await store.claim("10.0.0.1", value), true);
      assert.equal(await second.claim("10.0.0.1", value), true);
      assert.equal(
        await inside.cli("-a", "secret", "--no-auth-warning", "-n", "3", "GET", keyOf("10.0.0.1")),
        value,
      );
      await assert.rejects(wrong.get("10.0.0.1"), { code: "EG46_STORE_UNAVAILABLE", message: /WRONGPASS/ });
      await assert.rejects(beyond.claim("10.0.0.2", value), {
        code: "EG46_STORE_UNAVAILABLE",
        message: /out of range/,
      });
      assert.equal(await inside.cli("-a", "secret", "--no-auth-warning", "GET", keyOf("10.0.0.2")), "");
    } finally {
      for (const each of [store, second, wrong, beyond]) await each.close();
      for (const each of [redis, inside]) await each.stop();
    }
  });

  test("TLS: without our certificate, or with another authority, calls say why", async () => {
    const redis = await startRedis({ tls: true });
    const { ca, client } = redis.certificates!;
    const anonymous = await openStore({ spec: redis.url, redisCa: ca, log: quiet });
    const distrustful = await openStore({
      spec: redis.url,
      redisCert: client.cert,
      redisKey: client.key,
      log: quiet,
    });
    try {
      await rejectsSoon(anonymous.get("10.0.0.1"));
      await assert.rejects(distrustful.get("10.0.0.1"), { message: /certificate/ });
    } finally {
      await anonymous.close();
      await distrustful.close();
      await redis.stop();
    }
  });

  test("an outage is logged twice, whatever fails meanwhile: the reason, the return", async () => {
    const redis = await startRedis();
    const { log, lines } = recorded();
    const store = await openStore({ spec: redis.url, log });
    try {
      await until("connected", () => store.connected());
      assert.equal(store.problem(), undefined);
      await redis.kill();
      await until("refused", () => /ECONNREFUSED/.test(store.problem() ?? ""));
      for (let index = 0; index < 3; index++) await rejectsSoon(store.get("10.0.0.1"));
      await redis.restart();
      await until("connected", () => store.connected());
      assert.equal(lines.length, 2, JSON.stringify(lines));
      assert.match(
        lines[0]!,
        /^mapping store redis:\/\/127\.0\.0\.1:\d+ is away: the connection was closed$/,
      );
      assert.match(lines[1]!, /^mapping store redis:\/\/127\.0\.0\.1:\d+ is back after \d+ s$/);
    } finally {
      await store.close();
      await redis.stop();
    }
  });

  const outward = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  const refusals: Record<
    string,
    { redis: Parameters<typeof startRedis>[0]; spec: (url: string) => string; ca?: boolean; reason: RegExp }
  > = {
    "a server in protected mode": {
      redis: { config: ["bind 0.0.0.0", "protected-mode yes"] },
      spec: (url) => url.replace("127.0.0.1", outward ?? ""),
      reason: /: DENIED Redis is running in protected mode/,
    },
    "redis:// where TLS is spoken": {
      redis: { tls: true },
      spec: (url) => url.replace("rediss", "redis"),
      reason: /without a word \(perhaps it expects TLS: rediss:\/\/\)/,
    },
    "rediss:// where it is not": {
      redis: {},
      spec: (url) => url.replace("redis", "rediss"),
      reason: /waits for the TLS handshake \(perhaps the server expects redis:\/\/\)/,
    },
    "no client certificate": {
      redis: { tls: true },
      spec: (url) => url,
      ca: true,
      reason: /TLS: .*certificate required \(--redis-cert and --redis-key are not given\)/,
    },
    "no password": {
      redis: { config: ["requirepass secret"] },
      spec: (url) => url,
      reason: /NOAUTH/,
    },
  };
  for (const [name, { redis: options, spec, ca, reason }] of Object.entries(refusals))
    test(`${name}: call, status and log say why`, {
      skip: name.includes("protected") && outward === undefined && "no address but loopback's",
    }, async () => {
      const redis = await startRedis(options);
      const { log, lines } = recorded();
      const files = ca ? { redisCa: redis.certificates!.ca } : {};
      const store = await openStore({ spec: spec(redis.url), ...files, log });
      try {
        await assert.rejects(store.get("10.0.0.1"), { code: "EG46_STORE_UNAVAILABLE", message: reason });
        await until("the reason", () => lines.length > 0 && reason.test(`: ${store.problem()}`));
        assert.equal(lines.length, 1);
        assert.match(lines[0]!, reason);
      } finally {
        await store.close();
        await redis.stop();
      }
    });

  test("a password that the server does not want: one line in the log, none of ioredis' own", async (t) => {
    const redis = await startRedis();
    const { log, lines } = recorded();
    const printed = t.mock.method(console, "warn", () => {});
    const store = await openStore({ spec: redis.url.replace("//", "//:needless@"), log });
    const watching = new AbortController();
    let resyncs = 0;
    const watch = store.watch({ changed() {}, resync: () => void resyncs++ }, watching.signal);
    try {
      assert.equal(await store.claim("10.0.0.1", value), true);
      await until("watch in place", () => resyncs === 1);
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /wants no password/);
      assert.equal(printed.mock.callCount(), 0);
    } finally {
      watching.abort();
      await watch;
      await store.close();
      await redis.stop();
    }
  });

  const bad: Record<string, Parameters<typeof openStore>[0]["spec"]> = {
    "another scheme": "http://127.0.0.1/",
    "no scheme": "somewhere",
    "no folder": "lmdb:",
    "no host": "redis://",
    "a database name": "redis://h/main",
    "options in the URL": "redis://h/0?family=6",
    "a broken escape": "redis://u:%zz@h",
  };
  for (const [name, spec] of Object.entries(bad))
    test(`--store with ${name} is a usage error that shows no password`, async () => {
      await assert.rejects(openStore({ spec, log: quiet }), (error: Error & { code: string }) => {
        assert.equal(error.code, "EG46_USAGE");
        assert.doesNotMatch(error.message, /%zz/);
        return true;
      });
    });

  const files: Record<string, Omit<Parameters<typeof openStore>[0], "log">> = {
    "certificate without key": { spec: "rediss://h", redisCert: "/dev/null" },
    "certificates without TLS": { spec: "redis://h", redisCa: "/dev/null" },
    "certificates with LMDB": { spec: "lmdb:/tmp/x", redisCa: "/dev/null" },
    "a file that is not there": { spec: "rediss://h", redisCa: "/nowhere/ca.crt" },
  };
  for (const [name, options] of Object.entries(files))
    test(`${name} is a usage error`, () =>
      assert.rejects(openStore({ ...options, log: quiet }), { code: "EG46_USAGE" }));

  describe("certificates", () => {
    let dir: string;
    let made: Awaited<ReturnType<typeof makeCertificates>>;
    before(async () => {
      dir = mkdtempSync(join(tmpdir(), "egress46-certificates-"));
      made = await makeCertificates(dir);
    });
    after(() => rmSync(dir, { recursive: true, force: true }));

    test("their contents do as well as their paths", async () => {
      const redis = await startRedis({ tls: true });
      const { ca, client } = redis.certificates!;
      const read = readCertificates({ redisCa: ca, redisCert: client.cert, redisKey: client.key });
      const store = await openStore({ spec: redis.url, certificates: () => read, log: quiet });
      try {
        assert.equal(await store.claim("10.0.0.1", value), true);
      } finally {
        await store.close();
        await redis.stop();
      }
    });

    const wrong: Record<string, { flags: () => string[]; text: RegExp }> = {
      "a key of another certificate": {
        flags: () => ["--redis-cert", made.client.cert, "--redis-key", made.server.key],
        text: /--redis-key is not the key of the certificate/,
      },
      "a certificate that is a key": {
        flags: () => ["--redis-cert", made.client.key, "--redis-key", made.client.key],
        text: /--redis-cert holds no certificate/,
      },
      "a key that is a certificate": {
        flags: () => ["--redis-cert", made.client.cert, "--redis-key", made.client.cert],
        text: /--redis-key holds no private key/,
      },
      "an authority that is nothing": {
        flags: () => ["--redis-ca", "/dev/null"],
        text: /--redis-ca holds no certificate/,
      },
      "a file that is not there": {
        flags: () => ["--redis-ca", "/nowhere/ca.crt"],
        text: /--redis-ca: ENOENT.*\/nowhere\/ca\.crt/,
      },
    };
    for (const [name, { flags, text }] of Object.entries(wrong))
      test(`run with ${name} exits 2 before it does anything`, async () => {
        const main = fileURLToPath(new URL("../../src/main.js", import.meta.url));
        const args = ["run", "-f", "/nowhere", "--internal-net", "10.0.0.0/8", "--store", "rediss://h"];
        const { code, stdout, stderr } = await execute([process.execPath, main, ...args, ...flags()]);
        assert.equal(code, 2, stderr);
        assert.equal(stdout, "");
        assert.match(stderr, text);
        assert.match(stderr, /^EG46_USAGE: /);
      });
  });
});
