/** Ports of a SNAT address at any load: RFC 6056, RFC 6888 REQ-8, RFC 7857 §2.5. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { type Lab, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, fromPod } from "../../support/flows.ts";
import { type Protocol, RST, SYN } from "../../support/packets.ts";

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
