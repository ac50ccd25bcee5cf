/** Sessions of a Pod are limited (RFC 6888 REQ-4); counted when they begin and end. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { type Lab, poolEntry, snat4, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow66,
  flows,
  fromPod,
  fromRemote,
  openFlow,
} from "../../support/flows.ts";
import { ACK, FIN, type Protocol, RST, SYN } from "../../support/packets.ts";

const exceeded = { POD_SESSIONS_EXCEEDED: 1 };
const protocols: readonly Protocol[] = ["tcp", "udp", "icmp"];
const drops = (lab: Lab, flow: Flow, protocol: Protocol, port: number, nowMs = 0) =>
  lab.push([fromPod(flow, protocol, port, { tcpFlags: SYN })], nowMs).drops;

async function limited(sessions: number): Promise<Lab> {
  const lab = await startLab();
  lab.limit("podSessions", sessions);
  return lab;
}

describe("the limit", () => {
  for (const flow of flows)
    for (const protocol of protocols)
      test(`${flow.out} ${protocol}: three sessions, the fourth is refused, the three go on`, async () => {
        const lab = await limited(3);
        const ports = [1, 2, 3].map((port) => openFlow(lab, flow, protocol, port));
        assert.deepEqual(drops(lab, flow, protocol, 4), exceeded);
        for (const port of ports)
          assert.deepEqual(lab.push([fromRemote(flow, protocol, port, { tcpFlags: ACK })]).drops, {});
      });

  test("0 is no limit", async () => {
    const lab = await limited(0);
    for (let port = 1; port <= 200; port++) assert.deepEqual(drops(lab, flow44, "udp", port), {});
  });

  test("all protocols and directions of an address count together", async () => {
    const lab = await limited(3);
    openFlow(lab, flow46, "tcp", 1);
    openFlow(lab, flow44, "udp", 1);
    openFlow(lab, flow44, "icmp", 1);
    assert.deepEqual(drops(lab, flow46, "udp", 2), exceeded);
  });

  test("another Pod, and the Pod's other address, have their own", async () => {
    const lab = await limited(1);
    openFlow(lab, flow44, "udp", 1);
    assert.deepEqual(drops(lab, { ...flow44, pod: "10.1.2.4" }, "udp", 1), {});
    assert.deepEqual(drops(lab, flow66, "udp", 1), {});
    assert.deepEqual(drops(lab, flow44, "udp", 2), exceeded);
  });

  test("lowered: no session ends, none begins until enough have ended", async () => {
    const lab = await limited(0);
    const ports = [1, 2, 3].map((port) => openFlow(lab, flow44, "udp", port));
    lab.limit("podSessions", 1);
    assert.deepEqual(drops(lab, flow44, "udp", 4), exceeded);
    for (const port of ports)
      assert.deepEqual(lab.push([fromRemote(flow44, "udp", port)], 200_000).drops, {});
    lab.sweep(400_000);
    assert.deepEqual(drops(lab, flow44, "udp", 4, 400_000), exceeded);
    lab.sweep(600_000);
    assert.deepEqual(drops(lab, flow44, "udp", 4, 600_000), {});
  });
});

describe("outsiders (--eif) get at most three quarters of it", () => {
  for (const [limit, outsiders] of [
    [1, 0],
    [2, 0],
    [3, 1],
    [4, 2],
    [100, 74],
    [0, 200],
  ] as const)
    for (const flow of [flow44, flow66])
      test(`${flow.in}: of ${limit} sessions ${outsiders} besides the Pod's own, then the Pod all of them`, async () => {
        const lab = await limited(limit);
        lab.configure({ behaviour: { ...defaultBehaviour, eif: ["udp"] } });
        const outer = openFlow(lab, flow, "udp", 4000);
        const knocks = Array.from({ length: 200 }, (_, n) => {
          const remote = flow === flow44 ? `192.0.3.${n + 1}` : `2001:db8:77::${n + 1}`;
          return fromRemote({ ...flow, remote }, "udp", outer);
        });
        const refused = 200 - outsiders;
        assert.deepEqual(lab.push(knocks).drops, refused === 0 ? {} : { POD_SESSIONS_EXCEEDED: refused });
        if (limit === 0) return;
        for (let n = outsiders + 1; n < limit; n++) assert.deepEqual(drops(lab, flow, "udp", 5000 + n), {});
        assert.deepEqual(drops(lab, flow, "udp", 6000), exceeded);
      });
});

describe("counted no longer", () => {
  const ends: readonly (readonly [name: string, end: (lab: Lab) => number])[] = [
    [
      "expired",
      (lab) => {
        lab.sweep(10_000_000);
        return 10_000_000;
      },
    ],
    [
      "its SNAT address was taken away",
      (lab) => {
        lab.configure({ pool: [poolEntry("198.51.100.77")] });
        lab.sweep(1000);
        return 1000;
      },
    ],
  ];
  for (const [name, end] of ends)
    for (const protocol of protocols)
      test(`${protocol}: ${name}`, async () => {
        const lab = await limited(2);
        for (const port of [1, 2]) lab.push([fromPod(flow44, protocol, port, { tcpFlags: SYN })]);
        const now = end(lab);
        for (const port of [3, 4]) assert.deepEqual(drops(lab, flow44, protocol, port, now), {});
        assert.deepEqual(drops(lab, flow44, protocol, 5, now), exceeded);
      });

  test("TCP: a SYN over a session that is ending takes its place", async () => {
    const lab = await limited(1);
    openFlow(lab, flow44, "tcp", 1);
    lab.push([fromPod(flow44, "tcp", 1, { tcpFlags: RST })]);
    assert.deepEqual(drops(lab, flow44, "tcp", 1), {});
    assert.deepEqual(drops(lab, flow44, "tcp", 2), exceeded);
  });

  test("a session that got no port", async () => {
    const lab = await limited(2);
    lab.configure({ pool: [poolEntry(snat4, { firstPort: 7000, lastPort: 7000 })] });
    openFlow(lab, flow44, "tcp", 1);
    for (let i = 0; i < 5; i++) assert.deepEqual(drops(lab, flow44, "tcp", 2), { SNAT_PORTS_EXHAUSTED: 1 });
    lab.push([fromPod(flow44, "tcp", 1, { tcpFlags: FIN | ACK })]);
    openFlow(lab, flow44, "udp", 1);
    assert.deepEqual(drops(lab, flow44, "icmp", 1), exceeded);
  });
});

describe("the table of Pods is full", () => {
  const sizes = { maxSessions: 512, maxMappings: 16 };
  const pod = (n: number) => ({ ...flow44, pod: `10.1.7.${n}` });

  for (const [limit, expected] of [
    [5, { POD_TABLE_FULL: 1 }],
    [0, {}],
  ] as const)
    test(`limit ${limit}: one Pod more → ${JSON.stringify(expected)}`, async () => {
      const lab = await startLab({ sizes });
      lab.limit("podSessions", limit);
      for (let n = 0; n < 64; n++) openFlow(lab, pod(n), "udp", 1);
      assert.deepEqual(drops(lab, pod(100), "udp", 1), expected);
      assert.deepEqual(drops(lab, pod(5), "udp", 2), {}, "a Pod that is known goes on");
      lab.sweep(400_000);
      lab.limit("podSessions", 5);
      assert.deepEqual(drops(lab, pod(101), "udp", 1, 400_000), {}, "room again");
    });
});
