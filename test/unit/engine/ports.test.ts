/** Ports of a SNAT address at any load: RFC 6056, RFC 6888 REQ-8, RFC 7857 §2.5. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { decode } from "../../support/decode.ts";
import { type Lab, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, fromPod, fromRemote } from "../../support/flows.ts";
import { ACK, type Protocol, RST, SYN } from "../../support/packets.ts";

const first = 20_000;
const minute = 60_000;

async function labWith(ports: number, sessions = 1 << 14): Promise<Lab> {
  const lab = await startLab({ sizes: { maxSessions: sessions, maxMappings: 16 } });
  const range = { firstPort: first, lastPort: first + ports - 1 };
  lab.configure({ pool: [poolEntry(snat4, range), poolEntry(snat6, range)] });
  return lab;
}

/** Outer ports of new flows from inner ports 1000, 1001, … */
function open(lab: Lab, flow: Flow, protocol: Protocol, count: number, nowMs = 0, from = 1000) {
  const packets = Array.from({ length: count }, (_, i) =>
    fromPod(flow, protocol, from + i, { tcpFlags: SYN }),
  );
  const { outputs, drops } = lab.push(packets, nowMs);
  return { ports: outputs.map((output) => decode(output).sourcePort), drops };
}

describe("one destination", () => {
  for (const flow of [flow46, flow44])
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      for (const size of [1, 2, 28, 29, 64, 65, 1000, 4096])
        test(`${flow.out} ${protocol}: all ${size} ports, each once, then refusals`, async () => {
          const lab = await labWith(size);
          const { ports, drops } = open(lab, flow, protocol, size);
          assert.deepEqual(drops, {});
          assert.deepEqual(
            ports.toSorted((a, b) => a - b),
            Array.from({ length: size }, (_, i) => first + i),
          );
          assert.deepEqual(open(lab, flow, protocol, 3, 0, 30_000).drops, { SNAT_PORTS_EXHAUSTED: 3 });
        });
});

test("TCP: a full destination leaves the ports to another one", async () => {
  const lab = await labWith(100);
  open(lab, flow44, "tcp", 100);
  const other = { ...flow44, seen: "192.0.2.99", remote: "192.0.2.99" };
  assert.deepEqual(open(lab, other, "tcp", 100).drops, {});
});

test("TCP: a port that a session gave back is found again, also among thousands", async () => {
  const lab = await labWith(4096);
  const { ports } = open(lab, flow46, "tcp", 4096);
  lab.push([fromPod(flow46, "tcp", 1000 + 77, { tcpFlags: RST })]);
  // The unanswered ones end after 6 s, the reset one after 4 min: answer nothing, wait for all of them.
  assert.deepEqual(open(lab, flow46, "tcp", 1, 0, 40_000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
  lab.sweep(7000);
  const again = open(lab, flow46, "tcp", 4095, 7000, 10_000);
  assert.deepEqual(again.drops, {});
  assert.ok(!again.ports.includes(ports[77]!), "the reset session still holds its port");
  assert.deepEqual(open(lab, flow46, "tcp", 1, 7000, 50_000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
});

describe("a destination's ports are all found again", () => {
  const at = (n: number): Flow => {
    const remote = `192.0.${2 + (n >> 8)}.${n & 255}`;
    return { ...flow44, seen: remote, remote };
  };
  /** TCP sessions that get an answer (and stay), or none (and end after 6 s). */
  function openTcp(lab: Lab, flow: Flow, count: number, nowMs: number, from: number, answered: boolean) {
    const { ports, drops } = open(lab, flow, "tcp", count, nowMs, from);
    assert.deepEqual(drops, {});
    if (answered)
      lab.push(
        ports.map((port) => fromRemote(flow, "tcp", port, { tcpFlags: SYN | ACK })),
        nowMs,
      );
  }

  test("that of a session for which there was no record", async () => {
    const lab = await labWith(40, 256);
    // Room for 64 destinations.
    for (let n = 1; n <= 64; n++) openTcp(lab, at(n), 1, 0, 1000, false);
    openTcp(lab, flow44, 1, 3000, 1000, false);
    lab.sweep(6001);
    openTcp(lab, flow44, 39, 6001, 2000, true);
    assert.deepEqual(open(lab, flow44, "tcp", 1, 6001, 3000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
    lab.sweep(9001);
    openTcp(lab, flow44, 1, 9001, 4000, true);
    assert.deepEqual(open(lab, flow44, "tcp", 1, 9001, 5000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
  });

  test("those beyond the list, while there was no bitmap", async () => {
    const lab = await labWith(40, 1 << 16);
    // Every bitmap is a busy destination's.
    for (let n = 0; n < 1024; n++) openTcp(lab, at(n + 300), 29, 0, 1000, false);
    for (const [from, count, answered] of [
      [1000, 3, false],
      [1003, 24, true],
      [1027, 1, false],
      [1028, 2, true],
    ] as const)
      openTcp(lab, flow44, count, 0, from, answered);
    lab.sweep(6001);
    openTcp(lab, flow44, 14, 6001, 2000, true);
    assert.deepEqual(open(lab, flow44, "tcp", 1, 6001, 3000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
  });
});

test("the order of ports can't be told from the flow: it differs from engine to engine", async () => {
  const orders = await Promise.all(
    [1, 2, 3].map(async () => open(await labWith(4096), flow46, "tcp", 20).ports.join()),
  );
  assert.equal(new Set(orders).size, 3);
});

describe("hold-down (RFC 6888 REQ-8)", () => {
  for (const protocol of ["udp", "icmp"] as const)
    test(`${protocol}: a port given back rests, unless no other is free`, async () => {
      const lab = await labWith(4);
      const lifetime = protocol === "udp" ? 5 * minute : minute;
      const { ports } = open(lab, flow44, protocol, 2);
      lab.sweep(lifetime + 1000);
      const next = open(lab, flow44, protocol, 2, lifetime + 2000, 2000).ports;
      for (const port of next) assert.ok(!ports.includes(port), `${port} rests`);
      // Two rest, two are taken: now the oldest resting one is better than none.
      const pressed = open(lab, flow44, protocol, 2, lifetime + 2000, 3000);
      assert.deepEqual(pressed.drops, {});
      assert.deepEqual(pressed.ports.toSorted(), ports.toSorted());
    });

  for (const [resting, flow, pressed] of [
    ["udp", flow44, "tcp"],
    ["udp", flow44, "icmp"],
    ["udp", flow46, "udp"],
    ["icmp", flow44, "tcp"],
    ["icmp", flow44, "udp"],
    ["icmp", flow46, "icmp"],
  ] as const)
    test(`${resting} ports rest on, whatever ${pressed} lacks ${flow === flow44 ? "there" : "on another address"}`, async () => {
      const lab = await labWith(8);
      lab.configure({ behaviour: { ...defaultBehaviour, eim: ["tcp", "udp", "icmp"] } });
      const { ports } = open(lab, flow44, resting, 7);
      const now = 5 * minute + 1000;
      lab.sweep(now);
      assert.deepEqual(open(lab, flow, pressed, 10, now).drops, { SNAT_PORTS_EXHAUSTED: 2 });
      const [next] = open(lab, flow44, resting, 1, now, 2000).ports;
      assert.ok(!ports.includes(next!), `${next} rests`);
    });

  test("under want one is woken at a time, the oldest first", async () => {
    const lab = await labWith(8);
    const rested: number[] = [];
    for (const n of [0, 1, 2, 3]) {
      const [udp] = open(lab, flow44, "udp", 1, n * 1000, 1001 + n).ports;
      open(lab, flow44, "icmp", 1, n * 1000, 1001 + n);
      rested.push(udp!);
    }
    for (const n of [0, 1, 2, 3]) lab.sweep(5 * minute + n * 1000 + 1);
    const now = 5 * minute + 4000;
    open(lab, flow44, "udp", 4, now, 2000);
    for (const [n, port] of rested.entries())
      assert.deepEqual(open(lab, flow44, "udp", 1, now, 3000 + n).ports, [port]);
    // Ended at the same time as the first of them: 120 s later all rest no longer.
    const again = 5 * minute + now + 1;
    lab.sweep(again);
    lab.sweep(again + 2 * minute);
    assert.deepEqual(open(lab, flow44, "udp", 8, again + 2 * minute, 4000).drops, {});
  });

  test("a port that rested on an address which went is nobody's on the next one", async () => {
    const lab = await labWith(8);
    open(lab, flow44, "udp", 8);
    const now = 5 * minute + 1000;
    lab.sweep(now);
    lab.configure({ pool: [poolEntry("198.51.100.77", { firstPort: first, lastPort: first + 7 })] });
    const other = { ...flow44, snat: "198.51.100.77" };
    assert.deepEqual(open(lab, other, "udp", 10, now, 2000).drops, { SNAT_PORTS_EXHAUSTED: 2 });
    lab.sweep(now + 2 * minute);
    assert.deepEqual(open(lab, other, "udp", 1, now + 2 * minute, 3000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
  });

  test("after 120 s it is a port like any other", async () => {
    const lab = await labWith(2);
    const [port] = open(lab, flow44, "udp", 1).ports;
    lab.sweep(5 * minute + 1000);
    lab.sweep(7 * minute + 2000);
    const seen = new Set(
      [1, 2].flatMap((n) => open(lab, flow44, "udp", 1, 7 * minute + 2000, 2000 + n).ports),
    );
    assert.ok(seen.has(port!));
  });
});
