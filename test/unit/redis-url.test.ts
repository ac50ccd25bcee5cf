import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRedisWait } from "../../src/cli/redis-options.ts";
import { storeReference } from "../../src/mappings/open.ts";
import { readInfo } from "../../src/mappings/redis-look.ts";
import { readRedirection, readSlots, slotOf } from "../../src/mappings/redis-slots.ts";
import { parseRedisUrl } from "../../src/mappings/redis-url.ts";

const good = {
  "redis://h": { kind: "single", name: "redis://h", hosts: ["h:6379"], db: 0 },
  "rediss://[::1]:7000/3": { kind: "single", name: "rediss://[::1]:7000/3", hosts: ["::1:7000"], db: 3 },
  "redis://u:p%40@h/": {
    kind: "single",
    name: "redis://h/",
    hosts: ["h:6379"],
    db: 0,
    user: "u",
    password: "p@",
  },
  "redis://:a@b@h": { kind: "single", name: "redis://h", hosts: ["h:6379"], db: 0, password: "a@b" },
  "redis+sentinel://h1:26379,h2/main": {
    ...{ kind: "sentinel", name: "redis+sentinel://h1:26379,h2/main", hosts: ["h1:26379", "h2:26379"] },
    ...{ primary: "main", db: 0 },
  },
  "rediss+sentinel://u:p@[2001:db8::1]:1,h2/main/2?sentinel-user=s&sentinel-password=q%26": {
    ...{ kind: "sentinel", name: "rediss+sentinel://[2001:db8::1]:1,h2/main/2", primary: "main", db: 2 },
    ...{ hosts: ["2001:db8::1:1", "h2:26379"], user: "u", password: "p" },
    sentinel: { username: "s", password: "q&" },
  },
  "redis+cluster://h1,h2:7001": {
    ...{ kind: "cluster", name: "redis+cluster://h1,h2:7001", hosts: ["h1:6379", "h2:7001"], db: 0 },
  },
} as const;
for (const [spec, wanted] of Object.entries(good))
  test(`--store ${spec}`, () => {
    const place = parseRedisUrl(spec);
    const expected: Record<string, unknown> = { ...wanted };
    assert.deepEqual(
      { ...place, hosts: place.hosts.map(({ host, port }) => `${host}:${port}`) },
      {
        ...{ kind: expected.kind, name: expected.name, hosts: expected.hosts },
        secure: spec.startsWith("rediss"),
        login: { username: expected.user, password: expected.password, db: expected.db },
        primary: expected.primary ?? "",
        sentinelLogin: expected.sentinel ?? {},
      },
    );
    const reference = storeReference({ spec });
    assert.equal(reference.spec, place.name);
    assert.equal(reference.credentials, /@/.test(spec));
  });

const bad: Record<string, RegExp> = {
  "redis://h1,h2": /several hosts need redis\+sentinel/,
  "redis+sentinel://u:secret@h1": /lacks the name of the primary/,
  "redis+sentinel://h1/main/x": /'x' is not a database number/,
  "redis+sentinel://h1/main/1/2": /nothing may follow/,
  "redis+sentinel://h1,/main": /lacks a host/,
  "redis+sentinel://h1:99999/main": /'h1:99999' is not HOST or HOST:PORT/,
  "redis+sentinel://h1/main?sentinel-password=secret&x=secret": /only sentinel-user and sentinel-password/,
  "redis+sentinel://h1/main#secret": /nothing may follow/,
  "redis+cluster://h1/1": /only database 0/,
  "redis+cluster://h1?secret": /nothing may follow the hosts/,
  "redis://:sec/secret@h1:6379": /write '\/'/,
  "redis://u:sec/secret@h1/1": /write '\/'/,
  "redis+sentinel://u:12/secret@h1/main": /write '\/'/,
  "redis+sentinel://u:secret?secret@h1/main": /write '\/'/,
  "rediss://u:secret?secret@h1": /write '\/'/,
  "redis://u:secret#secret@h1": /write '\/'/,
  "redis+sentinel://h1/main?sentinel-password=secret@secret": /'@' behind the hosts as %40/,
  "redis+other://u:secret@h1": /none of lmdb:DIR, redis:/,
};
for (const [spec, message] of Object.entries(bad))
  test(`--store ${spec} is refused without any secret`, () => {
    assert.throws(
      () => parseRedisUrl(spec),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "EG46_USAGE");
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });

const waits = {
  "1": 1,
  "16": 16,
  auto: "auto",
  off: "off",
  "0": undefined,
  "17": undefined,
  "-1": undefined,
  x: undefined,
};
for (const [text, wanted] of Object.entries(waits))
  test(`--redis-wait ${text}`, () => {
    if (wanted === undefined) assert.throws(() => parseRedisWait(text), /It must be/);
    else assert.equal(parseRedisWait(text), wanted);
  });

test("slots: the specification's example", () => assert.equal(slotOf("123456789"), 0x31c3));

const asked = { host: "10.0.0.1", port: 6379 };
const redirections = {
  "MOVED 3999 127.0.0.1:6381": { kind: "MOVED", to: { host: "127.0.0.1", port: 6381 } },
  "ASK 3999 [2001:db8::1]:6381": { kind: "ASK", to: { host: "2001:db8::1", port: 6381 } },
  "MOVED 3999 2001:db8::1:6381": { kind: "MOVED", to: { host: "2001:db8::1", port: 6381 } },
  "MOVED 3999 :6381": { kind: "MOVED", to: { host: "10.0.0.1", port: 6381 } },
  "CLUSTERDOWN The cluster is down": undefined,
};
for (const [message, wanted] of Object.entries(redirections))
  test(`redirection: ${message}`, () => assert.deepEqual(readRedirection(message, asked), wanted));

test("slots as CLUSTER SLOTS tells them, also by a node that doesn't know its name", () => {
  const reply = [
    [0, 5460, ["10.0.0.2", 6379, "id"], ["10.0.0.3", 6379, "id"]],
    [5461, 16383, ["", 7000, "id"]],
  ];
  assert.deepEqual(readSlots(reply, asked), [
    { first: 0, last: 5460, primary: { host: "10.0.0.2", port: 6379 } },
    { first: 5461, last: 16383, primary: { host: "10.0.0.1", port: 7000 } },
  ]);
});

const replicaLines = {
  none: ["", 0],
  "one that follows": ["slave0:ip=h,port=1,state=online,offset=14,lag=0", 1],
  "one that copies": ["slave0:ip=h,port=1,state=wait_bgsave,offset=0,lag=0", 0],
  "one that has not confirmed anything": ["slave0:ip=h,port=1,state=online,offset=0,lag=1", 0],
  "one that stands still": ["slave0:ip=h,port=1,state=online,offset=14,lag=11", 0],
} as const;
for (const [name, [line, count]] of Object.entries(replicaLines))
  test(`replicas: ${name}`, () => {
    const info = [
      "redis_mode:standalone",
      "run_id:r",
      "role:master",
      line,
      "master_replid:a",
      "master_repl_offset:14",
    ];
    assert.deepEqual(readInfo(info.join("\r\n")), {
      ...{ mode: "standalone", primary: true, loading: false, replicas: count, lineage: "r/a" },
    });
  });
