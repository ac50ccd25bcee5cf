/** Mapping and filtering by choice: RFC 4787 REQ-1, REQ-4, REQ-8; RFC 5382 REQ-1, REQ-3; RFC 6146 §3.5; RFC 7857 §2.5. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultBehaviour, type NatProtocol } from "../../../src/engine/behaviour.ts";
import { VirtualServer } from "../../../src/engine/layout.gen.ts";
import { decode } from "../../support/decode.ts";
import {
  far4,
  host6,
  type Lab,
  nat4,
  pod4,
  poolEntry,
  snat4,
  snat6,
  startLab,
} from "../../support/engine.ts";
import {
  checkIn,
  checkOut,
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  flows,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "../../support/flows.ts";
import { ACK, FIN, packetSpec, RST, SYN } from "../../support/packets.ts";

const protocols = ["tcp", "udp", "icmp"] as const;
const stranger = (flow: Flow): Flow => {
  const remote = flow === flow44 || flow === flow64 ? "192.0.2.222" : "2001:db8:99::222";
  const seen = flow === flow46 ? "10.244.50.222" : flow === flow64 ? "2001:db8:64::c000:2de" : remote;
  return { ...flow, remote, seen };
};

async function labWith(
  eim: readonly NatProtocol[],
  eif: readonly NatProtocol[] = [],
  pool = [poolEntry(snat4), poolEntry(snat6)],
): Promise<Lab> {
  const lab = await startLab();
  lab.configure({ behaviour: { ...defaultBehaviour, eim, eif }, pool });
  lab.install(stranger(flow46).seen, stranger(flow46).remote);
  return lab;
}

/** The outer ports of flows from inner ports `from`, `from` + step, … */
function open(lab: Lab, flow: Flow, protocol: NatProtocol, count: number, from = 1000, step = 1, nowMs = 0) {
  const packets = Array.from({ length: count }, (_, i) =>
    fromPod(flow, protocol, from + i * step, { tcpFlags: SYN }),
  );
  const { outputs, drops } = lab.push(packets, nowMs);
  return { ports: outputs.map((output) => decode(output).sourcePort), drops };
}

const range = (firstPort: number, lastPort: number) => [
  poolEntry(snat4, { firstPort, lastPort }),
  poolEntry(snat6, { firstPort, lastPort }),
];

describe("mapping", () => {
  for (const eim of [["icmp"], ["udp", "icmp"], ["tcp", "icmp"], ["tcp", "udp", "icmp"]] as const)
    for (const protocol of protocols)
      for (const flow of flows) {
        const independent = eim.some((each) => each === protocol);
        const name = `--eim ${eim}: ${protocol} ${flow.out}`;
        test(`${name}: ${independent ? "one port for all remote ends" : "the same ports for each remote end"}`, async () => {
          const lab = await labWith(eim, [], range(3000, 3039));
          const one = open(lab, flow, protocol, 40);
          assert.deepEqual(one.drops, {});
          assert.equal(new Set(one.ports).size, 40);
          assert.deepEqual(open(lab, flow, protocol, 1, 2000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
          if (independent) {
            assert.deepEqual(open(lab, stranger(flow), protocol, 40).ports, one.ports);
            assert.deepEqual(open(lab, stranger(flow), protocol, 1, 2000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
          } else {
            // Other endpoints, too, have all of them towards another remote end.
            const other = open(lab, stranger(flow), protocol, 40, 2000);
            assert.deepEqual(other.drops, {});
            assert.deepEqual(other.ports.toSorted(), one.ports.toSorted());
          }
          for (const [i, port] of one.ports.entries())
            checkIn(lab, flow, fromRemote(flow, protocol, port, { tcpFlags: SYN | ACK }), 1000 + i);
        });
      }

  for (const count of [28, 29, 1000])
    test(`udp by remote end: all ${count} ports at any load, given back with their sessions`, async () => {
      const lab = await labWith(["icmp"], [], range(3000, 2999 + count));
      open(lab, flow44, "udp", count);
      assert.deepEqual(open(lab, flow44, "udp", 1, 30_000).drops, { SNAT_PORTS_EXHAUSTED: 1 });
      lab.sweep(300_001);
      assert.deepEqual(open(lab, flow44, "udp", count, 20_000, 1, 300_001).drops, {});
    });

  test("udp and tcp by remote end: each has all ports", async () => {
    const lab = await labWith(["icmp"], [], range(3000, 3099));
    for (const protocol of ["udp", "tcp"] as const)
      assert.deepEqual(open(lab, flow44, protocol, 100).drops, {});
  });

  test("tcp for all remote ends: a port is free with its last session, without a rest", async () => {
    const lab = await labWith(["tcp", "icmp"], [], range(3000, 3001));
    open(lab, flow44, "tcp", 2);
    lab.sweep(6001);
    assert.deepEqual(open(lab, flow44, "tcp", 2, 2000, 1, 6001).drops, {});
  });

  test("tcp for all remote ends: two NAT addresses of one host get two ports", async () => {
    const lab = await labWith(["tcp", "icmp"]);
    const again = { ...flow46, seen: "10.244.50.8" };
    lab.install(again.seen, host6);
    const [one, two] = [openFlow(lab, flow46, "tcp", 4000), openFlow(lab, again, "tcp", 4000)];
    assert.notEqual(one, two);
    checkIn(lab, flow46, fromRemote(flow46, "tcp", one), 4000);
    checkIn(lab, again, fromRemote(again, "tcp", two), 4000);
  });
});

describe("parity (RFC 4787 REQ-4)", () => {
  for (const eim of [["udp", "icmp"], ["icmp"]] as const)
    for (const [first, last] of [
      [3000, 3099],
      [3001, 3099],
      [3000, 3000],
      [3001, 3001],
      [3063, 3065],
    ] as const)
      for (const from of [1000, 1001])
        test(`--eim ${eim}: ports ${first}-${last}, inner ports ${from % 2 ? "odd" : "even"}: own parity first, then the other`, async () => {
          const lab = await labWith(eim, [], range(first, last));
          const all = Array.from({ length: last - first + 1 }, (_, i) => first + i);
          const alike = all.filter((port) => port % 2 === from % 2);
          const { ports, drops } = open(lab, flow44, "udp", all.length, from, 2);
          assert.deepEqual(drops, {});
          assert.deepEqual(ports.slice(0, alike.length).toSorted(), alike);
          assert.deepEqual(ports.toSorted(), all);
        });

  test("with a bitmap of the remote end, too", async () => {
    const lab = await labWith(["icmp"], [], range(3000, 3999));
    const even = open(lab, flow44, "udp", 500, 1000, 2).ports;
    assert.ok(even.every((port) => port % 2 === 0));
    const odd = open(lab, flow44, "udp", 500, 1001, 2).ports;
    assert.ok(odd.every((port) => port % 2 === 1));
  });
});

describe("filtering: a remote end that the Pod has not sent to", () => {
  for (const eif of [[], ["udp"], ["tcp", "udp", "icmp"]] as const)
    for (const protocol of protocols)
      for (const flow of flows) {
        const isOpen = eif.some((each) => each === protocol);
        const reason =
          isOpen && flow === flow46 ? "INBOUND_REMOTE_UNMAPPED" : isOpen ? undefined : "INBOUND_NO_SESSION";
        test(`--eif ${eif}: ${protocol} ${flow.in}: ${reason ?? "gets in, and is answered from the same port"}`, async () => {
          const lab = await labWith(["tcp", "udp", "icmp"], eif);
          const port = openFlow(lab, flow, protocol, 4000);
          const other = stranger(flow);
          const knock = fromRemote(other, protocol, port, { tcpFlags: SYN });
          if (reason !== undefined) return assert.deepEqual(lab.push([knock]).drops, { [reason]: 1 });
          checkIn(lab, other, knock, 4000);
          checkOut(lab, other, fromPod(other, protocol, 4000, { tcpFlags: SYN | ACK }), port);
          checkIn(lab, other, fromRemote(other, protocol, port), 4000);
          // The first session is as it was.
          checkIn(lab, flow, fromRemote(flow, protocol, port), 4000);
        });
      }

  test("icmp: an echo request to an identifier in use gets in, each time", async () => {
    const lab = await labWith(["udp", "icmp"], ["icmp"]);
    const id = openFlow(lab, flow66, "icmp", 4000);
    const other = stranger(flow66);
    for (let i = 0; i < 2; i++)
      checkIn(lab, other, fromRemote(other, "icmp", id, { echoReply: false }), 4000);
    checkOut(lab, other, fromPod(other, "icmp", 4000, { echoReply: true }), id);
    assert.equal(Number(lab.counters().alive[VirtualServer.EGRESS_IPV6]), 2);
  });

  const refusals: readonly {
    name: string;
    flow?: Flow;
    source?: string;
    tcpFlags?: number;
    before?: (lab: Lab) => void;
    change?: number;
    nowMs?: number;
    reason?: string;
  }[] = [
    { name: "a port that nobody has", change: 1 },
    { name: "an ACK", tcpFlags: ACK },
    { name: "a SYN with ACK", tcpFlags: SYN | ACK },
    { name: "a RST", tcpFlags: RST },
    { name: "from a multicast address", source: "224.0.0.5" },
    { name: "from a loopback address", source: "127.0.0.1" },
    { name: "from a NAT IPv4 address", source: nat4 },
    { name: "from an address of the DNS46 pool without a mapping", source: "10.244.50.99" },
    {
      name: "from a mapped address outside the DNS46 pool",
      source: "192.0.2.44",
      before: (lab) => lab.install("192.0.2.44", host6),
    },
    {
      name: "after the port's last session has ended",
      before: (lab) => lab.sweep(8_000_000),
      nowMs: 8_000_000,
    },
    {
      name: "once its SNAT address was taken away, though it came back",
      before: (lab) => {
        lab.configure({ pool: [] });
        lab.configure({ pool: [poolEntry(snat4), poolEntry(snat6)] });
      },
    },
    { name: "while no egress is in force", before: (lab) => lab.configure({ active: false }) },
    { name: "once the Pod's network is none of ours", before: (lab) => lab.configure({ internalNets: [] }) },
    {
      name: "IPv6 while dualStackEnabled is false",
      flow: flow66,
      before: (lab) => lab.configure({ dualStack: false }),
      reason: "DUAL_STACK_DISABLED",
    },
  ];
  for (const {
    name,
    flow = flow44,
    source,
    tcpFlags = SYN,
    before,
    change = 0,
    nowMs = 0,
    reason,
  } of refusals)
    test(`refused: ${name}`, async () => {
      const lab = await labWith(["tcp", "udp", "icmp"], ["tcp", "udp", "icmp"]);
      const port = openFlow(lab, flow, "tcp", 4000);
      before?.(lab);
      const other = { ...stranger(flow), ...(source === undefined ? {} : { remote: source }) };
      const { drops, outputs } = lab.push([fromRemote(other, "tcp", port + change, { tcpFlags })], nowMs);
      assert.deepEqual(drops, { [reason ?? "INBOUND_NO_SESSION"]: 1 });
      assert.deepEqual(outputs, []);
    });

  test("refused: from a Pod's address, which the gateway takes for the Pod itself", async () => {
    const lab = await labWith(["udp", "icmp"], ["udp"]);
    const port = openFlow(lab, flow44, "udp", 4000);
    const output = decode(only(lab, fromRemote({ ...flow44, remote: "10.1.9.9" }, "udp", port)));
    assert.equal(output.source, snat4, "it went out and came back in (hairpin)");
    assert.equal(output.destination, pod4);
  });

  test("a SYN from outside: 6 s until the Pod answers, then as long as any connection", async () => {
    const lab = await labWith(["tcp", "udp", "icmp"], ["tcp"]);
    const port = openFlow(lab, flow44, "tcp", 4000);
    const [one, two] = [
      stranger(flow44),
      { ...flow44, remote: far4.replace("80", "81"), seen: far4.replace("80", "81") },
    ];
    for (const other of [one, two]) only(lab, fromRemote(other, "tcp", port, { tcpFlags: SYN }));
    only(lab, fromPod(two, "tcp", 4000, { tcpFlags: SYN | ACK }));
    lab.sweep(6001);
    assert.deepEqual(lab.push([fromRemote(one, "tcp", port)], 6001).drops, { INBOUND_NO_SESSION: 1 });
    checkIn(lab, two, fromRemote(two, "tcp", port), 4000);
    lab.sweep(7_400_000);
    checkIn(lab, two, fromRemote(two, "tcp", port), 4000);
  });

  for (const [ending, flags] of [
    ["both FINs", [FIN | ACK, FIN | ACK]],
    ["a RST", [RST, undefined]],
  ] as const)
    for (const flow of [flow44, flow64, flow66])
      for (const alone of [true, false])
        test(`${flow.in}: a SYN from outside after ${ending}${alone ? "" : ", others on the port"}: 6 s to be answered, then a connection like any other`, async () => {
          const lab = await labWith(["tcp", "udp", "icmp"], ["tcp"]);
          const port = openFlow(lab, flow, "tcp", 4000);
          if (!alone) openFlow(lab, stranger(flow), "tcp", 4000);
          only(lab, fromPod(flow, "tcp", 4000, { tcpFlags: flags[0] }));
          if (flags[1] !== undefined) only(lab, fromRemote(flow, "tcp", port, { tcpFlags: flags[1] }));
          checkIn(lab, flow, fromRemote(flow, "tcp", port, { tcpFlags: SYN }), 4000);
          lab.sweep(6000);
          checkOut(lab, flow, fromPod(flow, "tcp", 4000, { tcpFlags: SYN | ACK }), port);
          lab.sweep(7_000_000);
          checkIn(lab, flow, fromRemote(flow, "tcp", port), 4000);
        });

  test("a SYN from outside over an ending session that the Pod doesn't answer", async () => {
    const lab = await labWith(["tcp", "udp", "icmp"], ["tcp"]);
    const port = openFlow(lab, flow44, "tcp", 4000);
    only(lab, fromPod(flow44, "tcp", 4000, { tcpFlags: RST }));
    only(lab, fromRemote(flow44, "tcp", port, { tcpFlags: SYN }));
    lab.sweep(6001);
    assert.deepEqual(lab.push([fromRemote(flow44, "tcp", port)], 6001).drops, { INBOUND_NO_SESSION: 1 });
    assert.equal(Number(lab.counters().alive[VirtualServer.EGRESS_IPV4]), 0);
  });

  test("without --eif tcp, and while no egress is in force, such a SYN opens nothing", async () => {
    const filtered = await labWith(["tcp", "udp", "icmp"], []);
    const port = openFlow(filtered, flow44, "tcp", 4000);
    for (const side of ["out", "in"] as const)
      only(
        filtered,
        side === "out"
          ? fromPod(flow44, "tcp", 4000, { tcpFlags: FIN | ACK })
          : fromRemote(flow44, "tcp", port, { tcpFlags: FIN | ACK }),
      );
    only(filtered, fromRemote(flow44, "tcp", port, { tcpFlags: SYN }));
    only(filtered, fromPod(flow44, "tcp", 4000, { tcpFlags: SYN | ACK }));
    filtered.sweep(240_001);
    assert.equal(Number(filtered.counters().alive[VirtualServer.EGRESS_IPV4]), 0);

    const idle = await labWith(["tcp", "udp", "icmp"], ["tcp"]);
    const outer = openFlow(idle, flow44, "tcp", 4000);
    only(idle, fromPod(flow44, "tcp", 4000, { tcpFlags: RST }));
    idle.configure({ active: false });
    assert.deepEqual(idle.push([fromRemote(flow44, "tcp", outer, { tcpFlags: SYN })]).drops, {
      INBOUND_NO_SESSION: 1,
    });
  });

  test("the port stays the Pod's as long as an outsider's session lives", async () => {
    const lab = await labWith(["udp", "icmp"], ["udp"], range(3000, 3000));
    const port = openFlow(lab, flow44, "udp", 4000);
    only(lab, fromRemote(stranger(flow44), "udp", port), 200_000);
    lab.sweep(300_001);
    assert.deepEqual(open(lab, flow44, "udp", 1, 5000, 1, 300_001).drops, { SNAT_PORTS_EXHAUSTED: 1 });
    assert.deepEqual(open(lab, flow44, "udp", 1, 4000, 1, 300_001).ports, [port]);
  });

  test("outsiders get three quarters of the session table, Pods all of it", async () => {
    const lab = await startLab({ sizes: { maxSessions: 64, maxMappings: 16 } });
    lab.configure({ behaviour: { ...defaultBehaviour, eif: ["udp"] } });
    const port = openFlow(lab, flow66, "udp", 4000);
    const knocks = Array.from({ length: 100 }, (_, i) =>
      fromRemote({ ...flow66, remote: `2001:db8:77::${i + 1}` }, "udp", port),
    );
    assert.deepEqual(lab.push(knocks).drops, { SESSION_TABLE_FULL: 53 });
    assert.deepEqual(open(lab, flow44, "udp", 17).drops, { SESSION_TABLE_FULL: 1 });
  });

  for (const [flow, second] of [
    [flow44, "10.1.9.9"],
    [flow66, "fd00:1::99"],
  ] as const)
    for (const protocol of ["tcp", "udp"] as const)
      test(`hairpin ${flow.out} ${protocol}: a Pod dials the other's outer port without an invitation`, async () => {
        const lab = await labWith(["tcp", "udp", "icmp"], [protocol]);
        const port = openFlow(lab, flow, protocol, 4000);
        const dial = packetSpec({
          ...{ source: second, destination: flow.snat, protocol },
          ...{ sourcePort: 5000, destinationPort: port, tcpFlags: SYN },
        });
        const arrived = decode(only(lab, dial));
        assert.deepEqual(
          [arrived.source, arrived.destination, arrived.destinationPort],
          [flow.snat, flow.pod, 4000],
        );
        const answer = packetSpec({
          ...{ source: flow.pod, destination: flow.snat, protocol, tcpFlags: SYN | ACK },
          ...{ sourcePort: 4000, destinationPort: arrived.sourcePort },
        });
        const back = decode(only(lab, answer));
        assert.deepEqual(
          [back.source, back.sourcePort, back.destination, back.destinationPort],
          [flow.snat, port, second, 5000],
        );
      });

  for (const flow of [flow44, flow64])
    for (const echoReply of [true, false])
      test(`automap: no ICMP ${echoReply ? "echo reply" : "echo request"} gets in by --eif icmp, ${flow.in}`, async () => {
        const alias = "192.0.0.128";
        const lab = await labWith(
          ["icmp"],
          ["icmp"],
          [poolEntry(snat4, { inbound: alias }), poolEntry(snat6)],
        );
        const id = openFlow(lab, flow, "icmp", 4000, 0, { ...flow, snat: alias });
        const knock = (from: Flow) => fromRemote({ ...from, snat: alias }, "icmp", id, { echoReply });
        assert.equal(decode(only(lab, knock(stranger(flow)))).destination, snat4, "the host's");
        if (echoReply)
          assert.equal(decode(only(lab, knock(flow))).destination, flow.pod, "what it asked for");
      });

  test("automap: a port in use is open, what isn't in use is the host's", async () => {
    const alias = "192.0.0.128";
    const lab = await labWith(["udp", "icmp"], ["udp"], [poolEntry(snat4, { inbound: alias })]);
    const port = openFlow(lab, flow44, "udp", 4000, 0, { ...flow44, snat: alias });
    const other = { ...stranger(flow44), snat: alias };
    assert.equal(decode(only(lab, fromRemote(other, "udp", port))).destination, pod4);
    assert.equal(decode(only(lab, fromRemote(other, "udp", port ^ 1))).destination, snat4);
    // Nobody outside poses as a Pod.
    const posing = { ...other, remote: "10.1.9.9" };
    assert.equal(decode(only(lab, fromRemote(posing, "udp", port))).destination, snat4);
  });
});
