/** Sessions and bindings in time: RFC 6146 §3.5, RFC 4787, RFC 5382, RFC 7857. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualServer } from "../../../src/engine/layout.gen.ts";
import { decode } from "../../support/decode.ts";
import { host6, type Lab, nat4, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow66,
  flows,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "../../support/flows.ts";
import { ACK, FIN, type PacketSpec, type Protocol, RST, SYN } from "../../support/packets.ts";

const minute = 60_000;
const established = 7_440_000;
const transitory = 4 * minute;

/** Outer port of the Pod's flow, opened or not; undefined when it was dropped. */
function send(
  lab: Lab,
  flow: Flow,
  protocol: Protocol,
  port: number,
  details: Partial<PacketSpec> = {},
  nowMs = 0,
) {
  const { outputs } = lab.push([fromPod(flow, protocol, port, details)], nowMs);
  return outputs[0] === undefined ? undefined : decode(outputs[0]).sourcePort;
}

const alive = (lab: Lab) => lab.counters().alive.reduce((sum, count) => sum + count, 0);

/** A step is a segment: direction and flags. */
type Segment = readonly ["out" | "in", number];
const opening: readonly Segment[] = [
  ["out", SYN],
  ["in", SYN | ACK],
  ["out", ACK],
];
const lives: readonly { name: string; segments: readonly Segment[]; lifetime: number }[] = [
  { name: "SYN unanswered", segments: [["out", SYN]], lifetime: 6000 },
  { name: "SYN answered", segments: opening.slice(0, 2), lifetime: established },
  { name: "established", segments: opening, lifetime: established },
  {
    name: "simultaneous open",
    segments: [
      ["out", SYN],
      ["in", SYN],
    ],
    lifetime: established,
  },
  {
    name: "an ACK from outside answers no SYN",
    segments: [
      ["out", SYN],
      ["in", ACK],
    ],
    lifetime: 6000,
  },
  {
    name: "refused",
    segments: [
      ["out", SYN],
      ["in", RST | ACK],
    ],
    lifetime: transitory,
  },
  { name: "FIN from inside", segments: [...opening, ["out", FIN | ACK]], lifetime: established },
  { name: "FIN from outside", segments: [...opening, ["in", FIN | ACK]], lifetime: established },
  {
    name: "FIN twice from one side",
    segments: [...opening, ["in", FIN | ACK], ["in", FIN | ACK]],
    lifetime: established,
  },
  {
    name: "FIN from both sides",
    segments: [...opening, ["out", FIN | ACK], ["in", FIN | ACK]],
    lifetime: transitory,
  },
  {
    name: "FIN from both sides, outside first",
    segments: [...opening, ["in", FIN | ACK], ["out", FIN | ACK]],
    lifetime: transitory,
  },
  {
    name: "simultaneous close and its ACKs",
    segments: [...opening, ["out", FIN | ACK], ["in", FIN | ACK], ["out", ACK], ["in", ACK]],
    lifetime: transitory,
  },
  { name: "RST from inside", segments: [...opening, ["out", RST]], lifetime: transitory },
  { name: "RST from outside", segments: [...opening, ["in", RST]], lifetime: transitory },
  { name: "RST, then data", segments: [...opening, ["in", RST], ["out", ACK]], lifetime: established },
  {
    name: "RST after both FINs, then an ACK",
    segments: [...opening, ["out", FIN | ACK], ["in", FIN | ACK], ["in", RST], ["out", ACK]],
    lifetime: transitory,
  },
];

describe("TCP lifetimes", () => {
  for (const { name, segments, lifetime } of lives)
    test(`${name}: ${lifetime / 1000} s`, async () => {
      const lab = await startLab();
      let outer = 0;
      for (const [way, tcpFlags] of segments)
        if (way === "out") outer = send(lab, flow46, "tcp", 4000, { tcpFlags })!;
        else only(lab, fromRemote(flow46, "tcp", outer, { tcpFlags }));
      lab.sweep(lifetime);
      assert.equal(alive(lab), 1);
      lab.sweep(lifetime + 1);
      assert.equal(alive(lab), 0);
      const late = lab.push([fromRemote(flow46, "tcp", outer)], lifetime + 2);
      assert.deepEqual(late.drops, { INBOUND_NO_SESSION: 1 });
    });

  for (const [name, closing] of [
    [
      "both FINs",
      [
        ["out", FIN | ACK],
        ["in", FIN | ACK],
      ],
    ],
    ["RST", [["in", RST]]],
  ] as const)
    test(`a SYN after ${name} opens a new connection`, async () => {
      const lab = await startLab();
      const outer = openFlow(lab, flow46, "tcp", 4000);
      for (const [way, tcpFlags] of closing)
        only(
          lab,
          way === "out"
            ? fromPod(flow46, "tcp", 4000, { tcpFlags })
            : fromRemote(flow46, "tcp", outer, { tcpFlags }),
        );
      assert.notEqual(send(lab, flow46, "tcp", 4000, { tcpFlags: SYN }), undefined);
      assert.equal(lab.counters().connections[VirtualServer.EGRESS_IPV4_NAT46], 2);
      assert.equal(alive(lab), 1);
      lab.sweep(6001);
      assert.equal(alive(lab), 0, "the new one is unanswered");
    });

  test("a SYN in an established connection changes nothing (RFC 9293 §3.10.7.4)", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow46, "tcp", 4000);
    assert.equal(send(lab, flow46, "tcp", 4000, { tcpFlags: SYN }), outer);
    assert.equal(lab.counters().connections[VirtualServer.EGRESS_IPV4_NAT46], 1);
  });
});

describe("sessions of every kind", () => {
  for (const flow of flows)
    for (const [protocol, lifetime] of [
      ["udp", 5 * minute],
      ["icmp", minute],
    ] as const)
      test(`${flow.out}, ${protocol}: used from either side it lives on, idle it ends after ${lifetime / 1000} s`, async () => {
        const lab = await startLab();
        const outer = openFlow(lab, flow, protocol, 4000);
        lab.sweep(lifetime);
        assert.equal(send(lab, flow, protocol, 4000, {}, lifetime), outer);
        lab.sweep(2 * lifetime);
        only(lab, fromRemote(flow, protocol, outer), 2 * lifetime);
        lab.sweep(3 * lifetime);
        assert.equal(alive(lab), 1);
        lab.sweep(3 * lifetime + 1);
        assert.equal(alive(lab), 0);
        const late = lab.push([fromRemote(flow, protocol, outer)], 3 * lifetime + 2);
        assert.deepEqual(late.drops, { INBOUND_NO_SESSION: 1 });
      });

  test("connections are counted by virtual server, once a flow", async () => {
    const lab = await startLab();
    for (const flow of flows)
      for (const protocol of ["tcp", "udp", "icmp"] as const)
        for (let i = 0; i < 3; i++) openFlow(lab, flow, protocol, 4000);
    assert.deepEqual(lab.counters().connections, [3, 3, 3, 3]);
    assert.deepEqual(lab.counters().alive, [3, 3, 3, 3]);
  });

  for (const before of [2 ** 32 - 1000, 2 ** 31 - 1000])
    test(`the clock passes ${before + 1000} ms`, async () => {
      const lab = await startLab();
      const outer = openFlow(lab, flow46, "udp", 4000, before);
      lab.sweep(before + 5 * minute);
      only(lab, fromRemote(flow46, "udp", outer), before + 5 * minute);
      lab.sweep(before + 10 * minute + 1);
      assert.equal(alive(lab), 0);
    });
});

const elsewhere = (flow: Flow, index: number): Flow =>
  flow === flow66
    ? { ...flow, seen: `2001:db8:99::${index}`, remote: `2001:db8:99::${index}` }
    : { ...flow, seen: `192.0.2.${index}`, remote: `192.0.2.${index}` };

describe("bindings", () => {
  for (const flow of [flow44, flow66])
    for (const protocol of ["udp", "icmp"] as const)
      test(`${flow.out}, ${protocol}: one outer port for all destinations (RFC 4787 REQ-1)`, async () => {
        const lab = await startLab();
        const ports = Array.from({ length: 20 }, (_, index) =>
          send(lab, elsewhere(flow, index + 1), protocol, 4000),
        );
        assert.equal(new Set(ports).size, 1);
        assert.notEqual(send(lab, flow, protocol, 4001), ports[0]);
      });

  for (const protocol of ["udp", "icmp"] as const)
    test(`${protocol}: a port is free again once its last session has ended`, async () => {
      const lab = await startLab();
      lab.configure({ pool: [poolEntry(snat4, { firstPort: 9000, lastPort: 9003 })] });
      const ports = Array.from({ length: 4 }, (_, index) => send(lab, flow44, protocol, 4000 + index));
      assert.deepEqual([...ports].sort(), [9000, 9001, 9002, 9003]);
      assert.deepEqual(lab.push([fromPod(flow44, protocol, 4004)]).drops, { SNAT_PORTS_EXHAUSTED: 1 });
      // The first one stays in use, through another destination.
      send(lab, elsewhere(flow44, 77), protocol, 4000, {}, 10);
      lab.sweep(5 * minute + 1);
      if (protocol === "udp") assert.equal(send(lab, flow44, protocol, 4000, {}, 5 * minute + 1), ports[0]);
      assert.ok(ports.includes(send(lab, flow44, protocol, 4004, {}, 5 * minute + 1)));
    });

  test("TCP: one port serves different destinations (RFC 7857 §2.5), never one twice", async () => {
    const lab = await startLab();
    lab.configure({ pool: [poolEntry(snat4, { firstPort: 9000, lastPort: 9003 })] });
    for (let destination = 1; destination <= 5; destination++) {
      const flow = elsewhere(flow44, destination);
      const ports = Array.from({ length: 4 }, (_, index) => openFlow(lab, flow, "tcp", 4000 + index));
      assert.deepEqual([...ports].sort(), [9000, 9001, 9002, 9003]);
      const fifth = lab.push([fromPod(flow, "tcp", 4004, { tcpFlags: SYN })]);
      assert.deepEqual(fifth.drops, { SNAT_PORTS_EXHAUSTED: 1 });
      for (const [index, port] of ports.entries())
        assert.equal(decode(only(lab, fromRemote(flow, "tcp", port))).destinationPort, 4000 + index);
    }
  });

  test("TCP: a small range recovers when sessions end", async () => {
    const lab = await startLab();
    lab.configure({ pool: [poolEntry(snat4, { firstPort: 9000, lastPort: 9000 })] });
    const syn = (port: number, nowMs: number) => send(lab, flow44, "tcp", port, { tcpFlags: SYN }, nowMs);
    assert.equal(syn(4000, 0), 9000);
    assert.equal(syn(4001, 5000), undefined);
    lab.sweep(6001);
    assert.equal(syn(4001, 6001), 9000);
  });

  for (const protocol of ["tcp", "udp", "icmp"] as const)
    test(`${protocol}: two NAT addresses of one host: no 5-tuple twice, each answer comes from the right one`, async () => {
      const lab = await startLab();
      const nats = [nat4, "10.244.50.8", "10.244.50.9"];
      for (const nat of nats) lab.install(nat, host6);
      const twins = nats.map((seen) => ({ ...flow46, seen }));
      const ports = twins.map((flow) => openFlow(lab, flow, protocol, 4000));
      assert.equal(new Set(ports).size, twins.length);
      for (const [index, port] of ports.entries())
        assert.equal(decode(only(lab, fromRemote(flow46, protocol, port))).source, nats[index]);
      const other = send(lab, { ...flow46, seen: nats[0]! }, protocol, 4000, { destinationPort: 9999 });
      if (protocol === "udp") assert.equal(other, ports[0], "elsewhere the first binding goes on");
      lab.sweep(established + 1);
      assert.deepEqual([alive(lab), lab.engine.bytes[lab.engine.layout.counters + 56]], [0, 0]);
    });
});

describe("pool addresses", () => {
  const pods = Array.from({ length: 200 }, (_, index) => `10.1.7.${index}`);
  const addresses = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"];
  const chosen = (lab: Lab, protocol: Protocol, port: number, nowMs = 0) =>
    pods.map((pod) => {
      const output = lab.push([fromPod({ ...flow44, pod }, protocol, port, { tcpFlags: SYN })], nowMs)
        .outputs[0];
      return decode(output!).source;
    });

  test("a Pod keeps its address for all protocols and ports (RFC 4787 REQ-2)", async () => {
    const lab = await startLab();
    lab.configure({ pool: addresses.map((address) => poolEntry(address)) });
    const first = chosen(lab, "tcp", 1);
    assert.equal(new Set(first).size, addresses.length, "all are used");
    for (const protocol of ["tcp", "udp", "icmp"] as const) assert.deepEqual(chosen(lab, protocol, 7), first);
  });

  test("when one comes its own Pods move, and hardly any others; when it goes they move back", async () => {
    const lab = await startLab();
    lab.configure({ pool: addresses.slice(0, 3).map((address) => poolEntry(address)) });
    const first = chosen(lab, "tcp", 1);
    lab.configure({ pool: addresses.map((address) => poolEntry(address)) });
    const second = chosen(lab, "tcp", 2);
    const others = second.filter((address, index) => address !== addresses[3] && address !== first[index]);
    assert.ok(others.length <= pods.length / 20, `${others.length} of ${pods.length}`);
    assert.ok(second.includes(addresses[3]!));
    lab.configure({
      pool: [addresses[2]!, addresses[0]!, addresses[1]!].map((address) => poolEntry(address)),
    });
    assert.deepEqual(chosen(lab, "tcp", 3), first);
  });

  test("one is removed: its sessions end, the others go on", async () => {
    const lab = await startLab();
    lab.configure({ pool: addresses.map((address) => poolEntry(address)) });
    for (const protocol of ["tcp", "udp"] as const) chosen(lab, protocol, 1);
    const before = chosen(lab, "udp", 1);
    // Its place in the table goes to a stranger at once.
    lab.configure({ pool: [...addresses.slice(1), "198.51.100.99"].map((address) => poolEntry(address)) });
    for (const [index, pod] of pods.entries()) {
      const flow = { ...flow44, pod };
      const gone = before[index] === addresses[0];
      const { outputs, drops } = lab.push([fromPod(flow, "tcp", 1, { tcpFlags: ACK })]);
      assert.deepEqual(drops, gone ? { TCP_NO_SESSION: 1 } : {});
      if (!gone) assert.equal(decode(outputs[0]!).source, before[index]);
    }
    assert.ok(!chosen(lab, "udp", 1).includes(addresses[0]!));
  });

  test("a removed address's sessions stay dead while the table grows and the sweep goes round", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow44, "udp", 4000);
    for (let i = 0; i < 2000; i++) send(lab, flow66, "udp", 10_000 + i);
    // Somewhere in the middle of a round.
    for (let i = 0; i < 4; i++) lab.engine.exports.tick(0);
    lab.configure({ pool: [poolEntry("198.51.100.99"), poolEntry(snat6)] });
    for (let i = 0; i < 40; i++) {
      for (let j = 0; j < 200; j++) send(lab, flow66, "udp", 13_000 + i * 200 + j);
      lab.engine.exports.tick(0);
      const stranger = { ...flow44, snat: "198.51.100.99" };
      assert.deepEqual(lab.push([fromRemote(stranger, "udp", outer)]).drops, { INBOUND_NO_SESSION: 1 });
    }
  });

  test("an impossible address leaves the engine without those that went", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow44, "udp", 4000);
    assert.throws(
      () => lab.configure({ pool: [poolEntry(snat6, { firstPort: 5, lastPort: 4 })] }),
      /2001:db8:5::9/,
    );
    assert.deepEqual(lab.push([fromRemote(flow44, "udp", outer)]).drops, { SOURCE_NOT_INTERNAL: 1 });
    assert.deepEqual(lab.push([fromPod(flow44, "udp", 4000)]).drops, { SNAT_ADDRESS_MISSING: 1 });
  });
});

describe("policy", () => {
  test("dualStack off: IPv6 from Pods is refused, 4→6 goes on", async () => {
    const lab = await startLab();
    lab.configure({ dualStack: false });
    assert.deepEqual(lab.push([fromPod(flow66, "udp", 4000)]).drops, { DUAL_STACK_DISABLED: 1 });
    openFlow(lab, flow46, "udp", 4000);
  });

  test("a source outside is refused, and has no part in a Pod's session", async () => {
    const lab = await startLab();
    openFlow(lab, flow44, "udp", 4000);
    const { outputs, drops } = lab.push([fromPod({ ...flow44, pod: "10.9.2.3" }, "udp", 4000)]);
    assert.deepEqual([outputs.length, drops], [0, { SOURCE_NOT_INTERNAL: 1 }]);
  });

  test("an unrelated change leaves sessions alone", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow46, "tcp", 4000);
    lab.configure({ dns: true, natSubnets: ["10.245.0.0/16"], self4: "10.1.0.7" });
    only(lab, fromRemote(flow46, "tcp", outer));
    assert.equal(send(lab, flow46, "tcp", 4000), outer);
  });
});
