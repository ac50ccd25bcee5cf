/** Deterministic port blocks (RFC 7422): what is computed is what the engine uses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultBehaviour, type NatProtocol } from "../../../src/engine/behaviour.ts";
import {
  addressAt,
  blockAt,
  blockNumberOf,
  countPositions,
  largestFit,
  planBlocks,
  positionOf,
} from "../../../src/engine/port-blocks.ts";
import type { PoolEntry } from "../../../src/engine/settings.ts";
import { decode } from "../../support/decode.ts";
import { type Lab, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import { type Flow, flow44, flow46, flow66, flows, fromPod } from "../../support/flows.ts";
import { SYN } from "../../support/packets.ts";

const size = 64;
const nets = ["10.1.2.0/28", "fd00:1::/124", "10.1.3.0/28"];
const protocols = ["tcp", "udp", "icmp"] as const;
const pool = [
  poolEntry(snat4, { firstPort: 1024, lastPort: 2047 }),
  poolEntry(snat6, { firstPort: 1024, lastPort: 1535 }),
  poolEntry("198.51.100.10"),
  ...["a", "b", "c", "d"].map((last) => poolEntry(`2001:db8:5::${last}`)),
];

async function labWith(
  change: { pool?: readonly PoolEntry[]; eim?: readonly NatProtocol[] } = {},
): Promise<Lab> {
  const lab = await startLab();
  const { eim = defaultBehaviour.eim } = change;
  lab.configure({
    behaviour: { ...defaultBehaviour, eim, portBlock: size },
    internalNets: nets,
    pool: change.pool ?? pool,
  });
  return lab;
}

function open(lab: Lab, flow: Flow, protocol: NatProtocol, ports: readonly number[], nowMs = 0) {
  const packets = ports.map((port) => fromPod(flow, protocol, port, { tcpFlags: SYN }));
  const { outputs, drops } = lab.push(packets, nowMs);
  return { outer: outputs.map((output) => decode(output)), drops };
}

const inner = (count: number, from = 1000) => Array.from({ length: count }, (_, i) => from + i);

describe("positions", () => {
  const plan = planBlocks(size, nets, pool);
  for (const [address, position] of [
    ["10.1.2.0", 0n],
    ["10.1.2.15", 15n],
    ["10.1.3.0", 16n],
    ["10.1.3.15", 31n],
    ["fd00:1::", 32n],
    ["fd00:1::f", 47n],
  ] as const)
    test(`${address}: ${position}`, () => {
      assert.equal(positionOf(plan, address), position);
      assert.equal(addressAt(plan, position), address);
    });
  for (const address of ["10.1.2.16", "10.1.4.0", "fd00:1::10", "::1"])
    test(`${address}: none`, () => assert.equal(positionOf(plan, address), undefined));
  test("beyond the last one", () => assert.equal(addressAt(plan, 48n), undefined));

  test("networks that lie in each other: an address counts where the first of them stands", () => {
    const nested = planBlocks(size, ["10.1.2.8/29", "10.1.2.0/28"], pool);
    assert.equal(positionOf(nested, "10.1.2.9"), 1n);
    assert.equal(positionOf(nested, "10.1.2.1"), 9n);
    assert.equal(addressAt(nested, 17n), undefined);
  });

  test("an IPv6 network of 2⁶⁴ addresses", () => {
    const large = planBlocks(size, ["fd00:1::/64"], pool);
    assert.equal(positionOf(large, "fd00:1::ffff:ffff:ffff:ffff"), (1n << 64n) - 1n);
    assert.equal(countPositions(large, true), 1n << 64n);
  });
});

describe("largest size that fits", () => {
  const one = (addresses: number) =>
    planBlocks(
      size,
      [],
      Array.from({ length: addresses }, (_, i) => poolEntry(`192.0.2.${i}`)),
    )[4];
  for (const [addresses, positions, fit] of [
    [1, 1n, 32768],
    [1, 2n, 16384],
    [1, 63n, 1024],
    [1, 1008n, 64],
    [1, 1009n, undefined],
    [66, 65536n, 64],
    [65, 65536n, undefined],
  ] as const)
    test(`${addresses} SNAT addresses, ${positions} Pods: ${fit ?? "none"}`, () =>
      assert.equal(largestFit(one(addresses), positions), fit));
});

describe("engine", () => {
  const pods: readonly (readonly [Flow, string])[] = [
    ...["10.1.2.0", "10.1.2.7", "10.1.2.15", "10.1.3.0", "10.1.3.1", "10.1.3.15"].flatMap((pod) =>
      [flow44, flow46].map((flow) => [flow, pod] as const),
    ),
    ...["fd00:1::1", "fd00:1::7"].map((pod) => [flow66, pod] as const),
  ];
  for (const eim of [
    ["udp", "icmp"],
    ["tcp", "icmp"],
  ] as const)
    for (const protocol of protocols)
      test(`--eim ${eim}: ${protocol}: each Pod has the block that is computed, all of it, and no more`, async () => {
        const lab = await labWith({ eim });
        const plan = planBlocks(size, nets, pool);
        for (const [kind, pod] of pods) {
          const { outer, drops } = open(lab, { ...kind, pod }, protocol, inner(size));
          assert.deepEqual(drops, {}, pod);
          const family = kind === flow44 ? 4 : 6;
          const block = blockAt(plan, family, positionOf(plan, pod)!)!;
          assert.deepEqual(new Set(outer.map(({ source }) => source)), new Set([block.address]), pod);
          assert.deepEqual(
            outer.map(({ sourcePort }) => sourcePort).toSorted((a, b) => a - b),
            inner(size, block.first),
          );
          for (const { source, sourcePort } of outer)
            assert.equal(addressAt(plan, blockNumberOf(plan, source, sourcePort)!), pod);
          const { drops: refused } = open(lab, { ...kind, pod }, protocol, inner(3, 9000));
          assert.deepEqual(refused, { SNAT_PORTS_EXHAUSTED: 3 }, pod);
        }
      });

  test("a Pod beyond the last block is refused", async () => {
    const few = [poolEntry(snat4, { firstPort: 1024, lastPort: 1024 + 4 * size + 7 }), poolEntry(snat6)];
    const lab = await labWith({ pool: few });
    const last = open(lab, { ...flow44, pod: "10.1.2.3" }, "udp", [1000]);
    assert.equal(last.outer[0]!.source, snat4);
    for (const pod of ["10.1.2.4", "10.1.2.5", "10.1.3.9"])
      assert.deepEqual(open(lab, { ...flow44, pod }, "udp", [1000]).drops, { SNAT_BLOCK_MISSING: 1 });
  });

  for (const [net, pod] of [
    ["fd00:1::/64", "fd00:1::1:0:0"],
    ["fd00:1::/64", "fd00:1::7:0:0:0"],
    ["fd00::/16", "fd00:1::3"],
  ] as const)
    test(`IPv6: ${pod} in ${net} is far beyond, whatever its last bits`, async () => {
      const lab = await labWith();
      lab.configure({ internalNets: [net] });
      assert.deepEqual(open(lab, { ...flow66, pod }, "udp", [1000]).drops, { SNAT_BLOCK_MISSING: 1 });
    });

  test("a SNAT address with fewer ports than a block: nobody has one", async () => {
    const lab = await labWith({ pool: [poolEntry(snat4, { firstPort: 2000, lastPort: 2062 })] });
    assert.deepEqual(open(lab, flow44, "udp", [1000]).drops, { SNAT_BLOCK_MISSING: 1 });
  });

  test("no SNAT address of the family", async () => {
    const lab = await labWith({ pool: [poolEntry(snat4)] });
    assert.deepEqual(open(lab, flow46, "udp", [1000]).drops, { SNAT_ADDRESS_MISSING: 1 });
  });

  for (const protocol of protocols)
    test(`${protocol}: a port of a block needs no rest: it is the same Pod's`, async () => {
      const lab = await labWith();
      const ports = () =>
        open(lab, flow44, protocol, inner(size), now).outer.map(({ sourcePort }) => sourcePort);
      let now = 0;
      const before = ports();
      now = 8_000_000;
      lab.sweep(now);
      assert.deepEqual(ports().toSorted(), before.toSorted());
    });

  const moves: readonly { name: string; change: Parameters<Lab["configure"]>[0]; survives: boolean }[] = [
    {
      name: "an address behind the others",
      change: { pool: [...pool, poolEntry("198.51.100.77")] },
      survives: true,
    },
    {
      name: "an address before them",
      change: { pool: [poolEntry("198.51.100.77"), ...pool] },
      survives: false,
    },
    { name: "another order", change: { pool: pool.toReversed() }, survives: false },
    {
      name: "a network behind the others",
      change: { internalNets: [...nets, "10.9.0.0/24"] },
      survives: false,
    },
    { name: "a network before them", change: { internalNets: ["10.9.0.0/24", ...nets] }, survives: false },
    { name: "nothing", change: { dns: true }, survives: true },
  ];
  for (const { name, change, survives } of moves)
    test(`change: ${name}: sessions ${survives ? "go on" : "end, the ports are another Pod's"}`, async () => {
      const lab = await labWith();
      const [first] = open(lab, flow44, "udp", [1000]).outer;
      lab.configure(change);
      const { drops } = lab.push([
        {
          ...{ source: first!.destination, destination: first!.source, protocol: "udp" },
          ...{ sourcePort: first!.destinationPort, destinationPort: first!.sourcePort },
        },
      ]);
      assert.deepEqual(drops, survives ? {} : { INBOUND_NO_SESSION: 1 });
    });

  for (const flow of flows)
    test(`${flow.out}: without blocks again, ports are shared`, async () => {
      const lab = await labWith();
      const { pod } = flow;
      lab.configure({ behaviour: defaultBehaviour, pool: [poolEntry(snat4), poolEntry(snat6)] });
      assert.deepEqual(open(lab, { ...flow, pod }, "udp", inner(100)).drops, {});
    });
});

describe("more addresses than the engine has places", () => {
  const ten = (n: number) => `10.1.${n >> 8}.${n & 255}`;
  const addresses = Array.from({ length: 1025 }, (_, n) => poolEntry(`203.0.${n >> 8}.${n & 255}`));
  const one = addresses.map((entry) => ({ ...entry, firstPort: 1024, lastPort: 1024 + size - 1 }));

  for (const [n, expected] of [
    [1022, {}],
    [1023, { SNAT_ADDRESS_MISSING: 1 }],
    [1024, { SNAT_BLOCK_MISSING: 1 }],
  ] as const)
    test(`Pod ${n}: ${JSON.stringify(expected)}`, async () => {
      const lab = await startLab();
      assert.throws(
        () =>
          lab.configure({
            behaviour: { ...defaultBehaviour, portBlock: size },
            internalNets: ["10.1.0.0/20"],
            // An IPv6 address has the first place, and one of IPv4's finds none.
            pool: [poolEntry(snat6, { firstPort: 1024, lastPort: 1024 + size - 1 }), ...one],
          }),
        { code: "EG46_CONFIG_INVALID" },
      );
      assert.deepEqual(open(lab, { ...flow44, pod: ten(n) }, "udp", [4000]).drops, expected);
    });
});
