/** Properties of the engine's tables against plain models: mappings, ports, sessions. Only packets are looked at. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { numberToIpv4 } from "../../src/addresses.ts";
import { defaultBehaviour, type NatBehaviour } from "../../src/engine/behaviour.ts";
import { addressAt, blockAt, blockNumberOf, planBlocks, positionOf } from "../../src/engine/port-blocks.ts";
import { decode } from "./decode.ts";
import { type Lab, poolEntry, snat4, snat6, startLab } from "./engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  flows,
  fromPod,
  fromRemote,
  innerFamily,
} from "./flows.ts";
import { type Protocol, SYN } from "./packets.ts";

type Runs = { readonly numRuns: number; readonly seed: number };
const host = (index: number) => `2001:db8:46::${index.toString(16)}`;
const natAddress = (index: number) => numberToIpv4(0x0af40000 + index);

/** The outside of a new flow; undefined when it was dropped. */
function send(lab: Lab, flow: Flow, protocol: Protocol, port: number, nowMs = 0) {
  const { outputs, drops } = lab.push([fromPod(flow, protocol, port, { tcpFlags: SYN })], nowMs);
  return { sent: outputs[0] === undefined ? undefined : decode(outputs[0]), drops };
}

const mappingSteps = fc.array(
  fc.record({
    step: fc.constantFrom("install", "remove", "look up"),
    nat: fc.nat(90),
    to: fc.integer({ min: 1, max: 500 }),
  }),
  { minLength: 400, maxLength: 900, size: "max" },
);

async function mappingsAreAMap(runs: Runs): Promise<void> {
  const capacity = 64;
  // A pool elsewhere: addresses without a mapping are then plain IPv4 destinations.
  const natSubnets = ["10.99.0.0/16"];
  const sizes = { maxSessions: 1 << 14, maxMappings: capacity };
  const labs = await Promise.all(Array.from({ length: runs.numRuns }, () => startLab({ sizes })));
  const property = fc.property(mappingSteps, (steps) => {
    const lab = labs.pop() ?? assert.fail("shrunk too often");
    lab.configure({ natSubnets });
    lab.remove(flow46.seen);
    const model = new Map<string, string>();
    let port = 1;
    for (const { step, nat, to } of steps) {
      const seen = natAddress(nat);
      if (step === "remove") {
        lab.remove(seen);
        model.delete(seen);
      } else if (step === "look up") {
        const { sent } = send(lab, { ...flow44, seen }, "tcp", port++);
        assert.equal(sent?.destination, model.get(seen) ?? seen);
      } else if (model.has(seen) || model.size < capacity) {
        lab.install(seen, host(to));
        model.set(seen, host(to));
      } else assert.throws(() => lab.install(seen, host(to)), /table is full/);
    }
  });
  fc.assert(property, { ...runs, endOnFailure: true });
}

const lifetimes = { tcp: 6000, udp: 300_000, icmp: 60_000 } as const;
const portSteps = fc.array(
  fc.record({
    port: fc.integer({ min: 1, max: 40 }),
    pauseTenths: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(11)),
  }),
  { minLength: 200, maxLength: 300, size: "max" },
);
const ranges = fc.tuple(fc.integer({ min: 1, max: 65_500 }), fc.nat(30));

async function portsAreASet(protocol: Protocol, runs: Runs): Promise<void> {
  const lab = await startLab();
  const lifetime = lifetimes[protocol];
  let now = 0;
  const property = fc.property(ranges, portSteps, ([firstPort, more], steps) => {
    lab.configure({ pool: [] });
    lab.configure({ pool: [poolEntry(snat4, { firstPort, lastPort: firstPort + more })] });
    const model = new Map<number, { outer: number; last: number }>();
    for (const { port, pauseTenths } of steps) {
      now += (pauseTenths * lifetime) / 10;
      lab.sweep(now);
      for (const [inner, { last }] of model) if (now - last > lifetime) model.delete(inner);
      const { sent, drops } = send(lab, flow44, protocol, port, now);
      const known = model.get(port);
      if (known === undefined && model.size === more + 1)
        assert.deepEqual(drops, { SNAT_PORTS_EXHAUSTED: 1 });
      else {
        const outer = sent?.sourcePort ?? assert.fail(JSON.stringify(drops));
        if (known !== undefined) assert.equal(outer, known.outer);
        else for (const other of model.values()) assert.notEqual(outer, other.outer);
        assert.ok(outer >= firstPort && outer <= firstPort + more);
        model.set(port, { outer, last: now });
      }
      assert.equal(Number(lab.counters().alive[1]), model.size);
    }
  });
  fc.assert(property, runs);
}

const step = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      kind: fc.constantFrom(...flows),
      protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
      pod: fc.integer({ min: 1, max: 6 }),
      remote: fc.integer({ min: 1, max: 6 }),
      port: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ nat: fc.integer({ min: 1, max: 6 }), to: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ pool: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ expire: fc.constant(true) }) },
  {
    weight: 10,
    arbitrary: fc.record({ stranger: fc.integer({ min: 1, max: 6 }), knocksAt: fc.nat(1 << 16) }),
  },
);

/** Few addresses, few ports: collisions are the rule. */
const pools = [
  [snat4, snat6],
  [snat4, snat6, "198.51.100.10", "2001:db8:5::10"],
  ["198.51.100.10", "2001:db8:5::10"],
  ["198.51.100.11", snat6],
].map((addresses) => addresses.map((address) => poolEntry(address, { firstPort: 7000, lastPort: 7040 })));

async function bindingsAreUnique(runs: Runs, behaviour: NatBehaviour): Promise<void> {
  const lab = await startLab();
  lab.configure({ behaviour });
  let now = 0;
  const property = fc.property(fc.array(step, { minLength: 100, maxLength: 300, size: "max" }), (steps) => {
    lab.configure({ pool: [] });
    lab.sweep(now);
    lab.configure({ pool: pools[0]! });
    for (let nat = 1; nat <= 6; nat++) lab.install(natAddress(nat), host(1));
    /** 5-tuple on the external wire → who has it, and how its answer reaches the Pod. */
    const owners = new Map<string, { flow: Flow; protocol: Protocol; port: number; outer: number }>();
    for (const chosen of steps) {
      if ("nat" in chosen) lab.install(natAddress(chosen.nat), host(chosen.to));
      else if ("expire" in chosen) {
        now += 8_000_000;
        lab.sweep(now);
        owners.clear();
      } else if ("stranger" in chosen) {
        // From a remote end that the Pod has perhaps not sent to.
        const known = [...owners.values()];
        const owner = known[chosen.knocksAt % Math.max(known.length, 1)];
        if (owner === undefined) continue;
        const seen = seenBy(kindOf(owner.flow), chosen.stranger);
        const remote = onTheWire(kindOf(owner.flow), chosen.stranger);
        const knock = fromRemote({ ...owner.flow, seen, remote }, owner.protocol, owner.outer, {
          tcpFlags: SYN,
        });
        const { outputs, drops } = lab.push([knock], now);
        const arrived = outputs[0] === undefined ? undefined : decode(outputs[0]);
        const wire = wireOf(owner.protocol, owner.flow.snat, owner.outer, remote, knock.sourcePort);
        const there = owners.get(wire);
        if (there === undefined && !behaviour.eif.includes(owner.protocol))
          assert.deepEqual(drops, { INBOUND_NO_SESSION: 1 }, wire);
        else if (there === undefined && kindOf(owner.flow) === flow46)
          assert.deepEqual(drops, { INBOUND_REMOTE_UNMAPPED: 1 }, wire);
        else {
          assert.deepEqual(drops, {}, wire);
          // Whoever has the port has it for everybody.
          const has = there ?? { ...owner, flow: { ...owner.flow, seen, remote } };
          assert.deepEqual(
            [arrived?.source, arrived?.destination, portAtPod(owner.protocol, arrived)],
            [has.flow.seen, has.flow.pod, has.port],
            wire,
          );
          owners.set(wire, has);
        }
      } else if ("pool" in chosen) {
        const pool = pools[chosen.pool]!;
        lab.configure({ pool });
        for (const [wire, { flow }] of owners)
          if (!pool.some(({ address }) => address === flow.snat)) owners.delete(wire);
      } else {
        const { kind, protocol, pod, remote, port } = chosen;
        const flow: Flow = {
          ...kind,
          pod: innerFamily(kind) === 6 ? `fd00:1::${pod}` : `10.1.0.${pod}`,
          seen: seenBy(kind, remote),
        };
        const { sent, drops } = send(lab, flow, protocol, port, now);
        if (sent === undefined) {
          assert.deepEqual(drops, { SNAT_PORTS_EXHAUSTED: 1 });
          continue;
        }
        const wire = wireOf(
          protocol,
          sent.source,
          sent.sourcePort,
          sent.destination,
          protocol === "icmp" ? sent.sourcePort : sent.destinationPort,
        );
        const owner = owners.get(wire);
        const identity = [flow.pod, flow.seen, port];
        if (owner !== undefined)
          assert.deepEqual([owner.flow.pod, owner.flow.seen, owner.port], identity, wire);
        owners.set(wire, {
          flow: { ...flow, snat: sent.source, remote: sent.destination },
          protocol,
          port,
          outer: sent.sourcePort,
        });
      }
    }
    for (const [wire, { flow, protocol, port, outer }] of owners) {
      const { outputs, drops } = lab.push([fromRemote(flow, protocol, outer, { tcpFlags: 16 })], now);
      assert.deepEqual(drops, {}, wire);
      const back = decode(outputs[0]!);
      assert.deepEqual(
        [back.source, back.destination, protocol === "icmp" ? back.sourcePort : back.destinationPort],
        [flow.seen, flow.pod, port],
        wire,
      );
    }
  });
  fc.assert(property, runs);
}

const wireOf = (...parts: readonly (string | number)[]) => parts.join(" ");
function kindOf({ pod, snat }: Flow): Flow {
  const outerSix = snat.includes(":");
  if (pod.includes(":")) return outerSix ? flow66 : flow64;
  return outerSix ? flow46 : flow44;
}
const portAtPod = (protocol: Protocol, packet: ReturnType<typeof decode> | undefined) =>
  protocol === "icmp" ? packet?.sourcePort : packet?.destinationPort;

const seenBy = (kind: Flow, remote: number) =>
  kind === flow46
    ? natAddress(remote)
    : kind === flow64
      ? `2001:db8:64::c000:20${remote}`
      : innerFamily(kind) === 6
        ? host(remote)
        : `192.0.2.${remote}`;
const onTheWire = (kind: Flow, remote: number) =>
  kind.snat.includes(":") ? host(remote) : `192.0.2.${remote}`;

const behaviours: readonly NatBehaviour[] = [
  defaultBehaviour,
  { eim: ["icmp"], eif: ["icmp"], portBlock: 0 },
  { eim: ["tcp", "udp", "icmp"], eif: ["tcp", "udp", "icmp"], portBlock: 0 },
];

const arrangements = fc.record({
  size: fc.constantFrom(64, 128, 1024),
  nets: fc.uniqueArray(
    fc.constantFrom("10.1.0.0/24", "10.1.1.0/27", "10.2.0.0/29", "10.1.1.16/28", "10.1.0.0/16"),
    {
      minLength: 1,
    },
  ),
  pool: fc.uniqueArray(
    fc.record({
      address: fc.integer({ min: 1, max: 9 }).map((last) => `198.51.100.${last}`),
      firstPort: fc.integer({ min: 1, max: 60_000 }),
      count: fc.integer({ min: 1, max: 5000 }),
    }),
    { selector: ({ address }) => address, minLength: 1, maxLength: 4 },
  ),
  pods: fc.array(
    fc
      .tuple(fc.constantFrom("10.1.0", "10.1.1", "10.2.0"), fc.nat(40))
      .map(([net, last]) => `${net}.${last}`),
    { minLength: 10, maxLength: 40 },
  ),
  protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
});

async function blocksAreDisjoint(runs: Runs): Promise<void> {
  const lab = await startLab();
  const property = fc.property(arrangements, ({ size, nets, pool: ranges, pods, protocol }) => {
    const pool = ranges.map(({ address, firstPort, count }) =>
      poolEntry(address, { firstPort, lastPort: Math.min(firstPort + count - 1, 65_535) }),
    );
    lab.configure({ pool: [] });
    lab.sweep(0);
    lab.configure({ behaviour: { ...defaultBehaviour, portBlock: size }, internalNets: nets, pool });
    const plan = planBlocks(size, nets, pool);
    for (const pod of new Set(pods))
      for (const port of [1000, 1001, 1002]) {
        const { sent, drops } = send(lab, { ...flow44, pod }, protocol, port);
        const position = positionOf(plan, pod);
        const block = position === undefined ? undefined : blockAt(plan, 4, position);
        if (position === undefined) assert.deepEqual(drops, { SOURCE_NOT_INTERNAL: 1 });
        else if (block === undefined) assert.deepEqual(drops, { SNAT_BLOCK_MISSING: 1 });
        else {
          assert.equal(sent?.source, block.address);
          assert.ok(sent.sourcePort >= block.first && sent.sourcePort <= block.last);
          // The way back is unambiguous: no other Pod can have the port.
          assert.equal(addressAt(plan, blockNumberOf(plan, sent.source, sent.sourcePort)!), pod);
        }
      }
  });
  fc.assert(property, runs);
}

/** `numRuns` of the runs is for single packets; each run here is hundreds of them. */
export function tableProperties({ numRuns, seed }: Runs): void {
  const runs = { seed, numRuns: Math.ceil(numRuns / 200) };
  test("the mapping table is a Map", () =>
    mappingsAreAMap({ ...runs, numRuns: Math.min(runs.numRuns, 200) }));
  for (const protocol of ["tcp", "udp", "icmp"] as const)
    test(`${protocol}: the ports of an address are a Set`, () => portsAreASet(protocol, runs));
  for (const behaviour of behaviours)
    test(`no two live sessions share a binding towards one remote end, each answer finds its Pod: ${JSON.stringify(behaviour)}`, () =>
      bindingsAreUnique({ ...runs, numRuns: Math.ceil(runs.numRuns / 2) }, behaviour));
  test("port blocks: disjoint, and what is computed is what is used", () => blocksAreDisjoint(runs));
}
