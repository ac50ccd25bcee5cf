import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDrops, sortDrops } from "../../../src/cli/drops.ts";
import { formatDuration } from "../../../src/cli/duration.ts";
import { formatSessions } from "../../../src/cli/sessions.ts";
import { formatPool, formatStatus } from "../../../src/cli/status.ts";
import { sampleView } from "./sample-view.ts";

const uptimes = [
  [0, "0 s"],
  [59, "59 s"],
  [60, "1 min 0 s"],
  [3_725, "1 h 2 min"],
  [86_400, "1 d 0 h"],
  [90_061, "1 d 1 h"],
] as const;

for (const [seconds, wanted] of uptimes)
  test(`uptime: ${seconds} s → ${wanted}`, () => assert.equal(formatDuration(seconds), wanted));

const base = {
  version: "1.2.3",
  ...sampleView().status(),
  uptimeSeconds: 61,
  health: { ok: true, reasons: [] },
  store: { name: "lmdb:/x", connected: true },
  mappings: { known: 6, malformed: 1, poolSize: 254, poolUsed: 5 },
  sessions: 4,
  maxSessions: 1000,
  dns: sampleView().dns(),
};

test("status text: active", () => {
  assert.equal(
    formatStatus(base),
    `gateway     egress46 1.2.3, up 1 min 1 s, 2 workers
health      ok
egress      a/egress
state       active: Pods' traffic leaves from the chosen addresses
notes       F5SPKEgress b/other is ignored: a/egress is older
store       lmdb:/x, connected
mappings    6 known, 1 malformed
DNS46 pool  5 of 254 addresses used
sessions    4, room for 1000
DNS         12 questions, 6 answers with an A record made from AAAA
upstreams   192.0.2.53 by udp, 0x20: healthy, 20 questions, half of the answers within 2.5 ms, 99 % within 40 ms
            2001:db8::53 by udp: NOT answering, connect ECONNREFUSED, 3 questions`,
  );
});

test("status text: waiting, not healthy, store away, no DNS46", () => {
  const waiting = {
    ...base,
    state: "waiting",
    reason: "SNAT pool 'egress_snatpool' is not there",
    notes: [],
    problems: ["pool.yaml:4: spec.name: expected a string", "pool.yaml:9: spec: unknown field"],
    workers: 1,
    health: { ok: false, reasons: ["the mapping store is away"] },
    store: { name: "redis://store:6379", connected: false },
    mappings: { known: 0, malformed: 0, poolSize: 0, poolUsed: 0 },
    dns: { ...base.dns, upstreams: [] },
  } as const;
  assert.equal(
    formatStatus(waiting),
    `gateway     egress46 1.2.3, up 1 min 1 s, 1 worker
health      not serving
            the mapping store is away
egress      a/egress
state       waiting: Pods' traffic is refused until what it names is there
            SNAT pool 'egress_snatpool' is not there
problems    pool.yaml:4: spec.name: expected a string
            pool.yaml:9: spec: unknown field
store       redis://store:6379, NOT connected
mappings    0 known, 0 malformed
sessions    4, room for 1000
DNS         12 questions, 6 answers with an A record made from AAAA`,
  );
});

test("sessions text: none, and none of a Pod", () => {
  assert.equal(formatSessions([]), "No session exists.");
  assert.equal(formatSessions([], "10.1.2.3"), "10.1.2.3 has no session.");
});

test("pool text: a percentage where ports are counted, none where sessions are", () => {
  const use = { inUse: 500, allocated: 600, exhausted: 0 };
  const text = formatPool([
    {
      ...{ address: "192.0.2.9", ports: 1000, tcp: { counts: "ports", ...use } },
      ...{ udp: { counts: "sessions", ...use }, icmp: { counts: "ports", ...use } },
    },
  ]);
  assert.match(text, /192\.0\.2\.9 +1000 +500 ports \(50 %\) +500 sessions +500 ids \(50 %\) +1800 +0$/);
});

test("pool text: none", () => assert.equal(formatPool([]), "No SNAT address is in use."));

test("drops text: nothing dropped", () => {
  const none = sampleView()
    .drops()
    .map((drop) => ({ ...drop, count: 0 }));
  assert.equal(
    formatDrops(sortDrops(none, false)),
    "No packet was dropped. (--all lists the reasons there are.)",
  );
  assert.deepEqual(
    sortDrops(none, true).map(({ reason }) => reason),
    ["bad-checksum", "no-snat", "ttl-expired"],
  );
});
