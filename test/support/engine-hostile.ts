/** Properties of the engine for any bytes from any side: no trap, nothing uncounted, no inner source outside. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, parseCidr } from "../../src/addresses.ts";
import { Path } from "../../src/engine/layout.gen.ts";
import { type Lab, labSettings, nat4, poolEntry, type Result, snat4, snat6, startLab } from "./engine.ts";
import { type Flow, flow44, flow46, flow64, flow66, flows, fromPod, fromRemote, openFlow } from "./flows.ts";
import { cut } from "./fragments.ts";
import { addressesOf, buildError, extended, isError, sealed } from "./icmp.ts";
import { outerRouter4, outerRouter6 } from "./icmp-scene.ts";
import {
  buildPacket,
  concat,
  extensionHeader,
  familyOf,
  get16,
  mssOption,
  type PacketSpec,
  type Protocol,
  SYN,
} from "./packets.ts";
import { readVnet, VNET_BYTES, type Vnet, vnetBytes } from "./vnet.ts";

/** snat4 as IPv6 Pods dial it. */
const snat64 = "2001:db8:64::c633:6409";

type Runs = { readonly numRuns: number; readonly seed: number };
const aliases: Readonly<Record<string, string>> = { [snat4]: "192.168.46.9", [snat6]: "fd46::9" };
const protocols: readonly Protocol[] = ["tcp", "udp", "icmp"];

/** Valid packets of every kind, some of them of sessions that exist. */
function seeds(lab: Lab, arriving: (flow: Flow) => Flow): Uint8Array[] {
  const long = { payload: new Uint8Array(3000).fill(7) };
  const all = flows.flatMap((flow) =>
    protocols.flatMap((protocol) => {
      const outer = openFlowAt(lab, flow, arriving(flow), protocol);
      const partial = { checksum: "partial", gsoSize: 1000, ...long } as const;
      return [
        fromPod(flow, protocol, 4000),
        fromPod(flow, protocol, 4001, { tcpFlags: SYN, tcpOptions: concat(mssOption(9000), mssOption(1)) }),
        fromRemote(arriving(flow), protocol, outer),
        fromRemote(arriving(flow), protocol, 5000),
        fromPod(flow, protocol, 4000, long),
        fromRemote(arriving(flow), protocol, outer, { ...long, hops: 1 }),
        ...(protocol === "icmp"
          ? []
          : [fromPod(flow, protocol, 4000, partial), fromRemote(arriving(flow), protocol, outer, partial)]),
      ];
    }),
  );
  const options = Uint8Array.of(131, 7, 8, 1, 2, 3, 4, 0);
  const chain = concat(extensionHeader(43, 1), extensionHeader(17, 2));
  return [
    ...[
      ...all,
      fromPod(flow44, "udp", 4000, { options }),
      fromPod(flow66, "udp", 4000, { options: chain, firstExtension: 60 }),
      fromPod({ ...flow44, seen: "10.244.50.200" }, "udp", 4000),
      fromPod(flow44, "udp", 4000, { destinationPort: 53 }),
      fromPod({ ...flow44, seen: snat4 }, "tcp", 4000, { tcpFlags: SYN }),
      fromPod({ ...flow64, seen: snat64 }, "tcp", 4000, { tcpFlags: SYN }),
    ].map(buildPacket),
    ...flows.flatMap((flow) => {
      const outer = openFlowAt(lab, flow, arriving(flow), "udp");
      const whole = [fromPod(flow, "udp", 4000), fromRemote(arriving(flow), "udp", outer)];
      return whole.flatMap((spec) => cut(buildPacket(spec), [16], 7));
    }),
    ...flows.flatMap((flow) =>
      protocols.flatMap((protocol) =>
        errorSeeds(flow, arriving(flow), protocol, openFlowAt(lab, flow, arriving(flow), protocol)),
      ),
    ),
  ];
}

/** ICMP errors about both directions of a session, with and without extensions. */
function errorSeeds(flow: Flow, arriving: Flow, protocol: Protocol, outer: number): Uint8Array[] {
  const quoteOf = (spec: PacketSpec) => buildPacket(spec).subarray(VNET_BYTES);
  const ends = (spec: PacketSpec) => ({ source: spec.destination, destination: spec.source });
  const inner = fromRemote({ ...flow, remote: flow.seen, snat: flow.pod }, protocol, 4000);
  const sent = ends(fromRemote(flow, protocol, outer));
  const wire = { ...fromPod(flow, protocol, outer), ...sent };
  const about = [
    { quote: quoteOf(inner), ...ends(inner) },
    { quote: quoteOf(wire), source: outerRouter(flow), destination: arriving.snat },
  ];
  return about.flatMap(({ quote, ...addresses }) => {
    const family = familyOf(addresses);
    const [unreachable, tooBig] =
      family === 4
        ? ([
            [3, 3],
            [3, 4],
          ] as const)
        : ([
            [1, 4],
            [2, 0],
          ] as const);
    const more = extended(quote, Uint8Array.of(0x20, 0, 1, 2, 0, 4, 1, 1), family);
    return [
      buildError({ ...addresses, type: unreachable[0], code: unreachable[1], body: quote }),
      buildError({ ...addresses, type: tooBig[0], code: tooBig[1], word: 1400, body: quote }),
      buildError({ ...addresses, type: unreachable[0], code: 0, ...more }),
    ];
  });
}

const outerRouter = (flow: Flow) => (flow.snat === snat4 ? outerRouter4 : outerRouter6);

function openFlowAt(lab: Lab, flow: Flow, arriving: Flow, protocol: Protocol): number {
  if (protocol !== "tcp") return openFlow(lab, flow, protocol, 4000);
  const { outputs } = lab.push([fromPod(flow, "tcp", 4000, { tcpFlags: SYN })]);
  const header = VNET_BYTES + (flow.snat === snat4 ? 20 : 40);
  const port = get16(outputs[0]!, header);
  lab.push([fromRemote(arriving, "tcp", port, { tcpFlags: SYN | 16 })]);
  return port;
}

const mutation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ at: fc.nat(150), value: fc.nat(255) }) },
  { weight: 2, arbitrary: fc.record({ at: fc.nat(150), bit: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ length: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ more: fc.uint8Array({ maxLength: 40 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      flags: fc.nat(7),
      gsoType: fc.constantFrom(0, 1, 3, 4, 5, 0x81, 0x84, 255),
      headerLength: fc.nat(65535),
      gsoSize: fc.oneof(fc.nat(2000), fc.nat(65535)),
      checksumStart: fc.constantFrom(0, 20, 24, 40, 48, 65535),
      checksumOffset: fc.constantFrom(0, 2, 6, 16, 65535),
    }),
  },
);
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(packet: Uint8Array, change: Mutation): Uint8Array {
  if ("length" in change) return packet.slice(0, change.length);
  if ("more" in change) return concat(packet, change.more);
  const copy = packet.slice();
  if ("flags" in change) copy.set(vnetBytes(change as Vnet).subarray(0, copy.length));
  else if (change.at < copy.length)
    copy[change.at] = "bit" in change ? copy[change.at]! ^ (1 << change.bit) : change.value;
  return copy;
}

const input = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      seed: fc.nat(),
      changes: fc.array(mutation, { maxLength: 5 }),
      // An ICMP error with a wrong checksum gets nowhere.
      seal: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ version: fc.constantFrom(4, 5, 6), bytes: fc.uint8Array({ maxLength: 160 }) }),
  },
);
type Input = typeof input extends fc.Arbitrary<infer T> ? T : never;

function packetOf(chosen: Input, valid: readonly Uint8Array[]): Uint8Array {
  if ("seed" in chosen) {
    const mutated = chosen.changes.reduce(mutate, valid[chosen.seed % valid.length]!);
    return chosen.seal ? sealed(mutated) : mutated;
  }
  const bytes = chosen.bytes;
  if (bytes.length > VNET_BYTES) bytes[VNET_BYTES] = (chosen.version << 4) | (bytes[VNET_BYTES]! & 15);
  return bytes;
}

const forwarding = [
  Path.OUT_46,
  Path.IN_64,
  Path.OUT_44,
  Path.IN_44,
  Path.OUT_66,
  Path.IN_66,
  Path.OUT_64,
  Path.IN_46,
  Path.HANDED_BACK,
];

/**
 * `packets` by path before and after; what waited was given up: each input must have come to one end, unless it is a
 * fragment. → how many inputs, this one and fragments before it, have come to an end.
 */
function checkCounted(
  packet: Uint8Array,
  before: readonly number[],
  after: readonly number[],
  results: readonly Result[],
): number {
  const went = forwarding.reduce<number>((sum, path) => sum + after[path]! - before[path]!, 0);
  const drops = results.flatMap(({ drops }) => Object.values(drops)).reduce((sum, count) => sum + count, 0);
  const questions = results.flatMap((result) => result.questions).length;
  const asDns = questions > 0 ? 1 : 0;
  const errors = after[Path.ICMP_ERROR]! - before[Path.ICMP_ERROR]!;
  const outputs = results.flatMap((result) => result.outputs).length;
  const forwarded = turnsBack(packet) ? Math.min(went, outputs - errors) : went;
  const ends = forwarded + asDns + drops;
  const { fragment, mayBeCut } = fragmentation(packet);
  if (!fragment) assert.equal(ends, 1, `forwarded ${went}, questions ${questions}, drops ${drops}`);
  const expected = ends - asDns - drops + errors;
  assert.ok(mayBeCut ? outputs >= expected : outputs === expected, `${outputs} outputs`);
  return ends;
}

/** To one of our own addresses: it goes out and in again, and counts both times. */
function turnsBack(packet: Uint8Array): boolean {
  const ip = packet.subarray(VNET_BYTES);
  if (ip.length < 40) return false;
  const destination = addressesOf(ip)[1];
  return destination === snat4 || destination === snat6 || destination === snat64;
}

/** A later fragment may be held, a first one sets free what was held; an IPv4 packet without DF may become several. */
function fragmentation(packet: Uint8Array): { fragment: boolean; mayBeCut: boolean } {
  const ip = packet.subarray(VNET_BYTES);
  if (ip.length >= 20 && ip[0]! >> 4 === 4)
    return { fragment: (get16(ip, 6) & 0x3fff) !== 0, mayBeCut: (ip[6]! & 0x40) === 0 };
  let next = ip[6];
  for (let at = 40; next === 0 || next === 43 || next === 60; ) {
    next = ip[at];
    at += ((ip[at + 1] ?? 0) + 1) * 8;
  }
  return { fragment: ip.length >= 40 && next === 44, mayBeCut: false };
}

const internal = labSettings.internalNets.map(parseCidr);
const inside = (address: string) => internal.some((net) => cidrContains(net, address));

/** Towards the outside only pool addresses are sources, and errors quote only what was sent to them. */
export function checkSource(output: Uint8Array): void {
  const ip = output.subarray(VNET_BYTES);
  const [source, destination] = addressesOf(ip);
  if (inside(destination) || destination === snat4 || destination === snat6) return;
  assert.ok(source === snat4 || source === snat6, `${source} → ${destination} would leave`);
  // A later fragment has no header that could say what it is.
  const offset = ip[0]! >> 4 === 4 ? get16(ip, 6) & 0x1fff : ip[6] === 44 ? get16(ip, 42) & 0xfff8 : 0;
  if (offset !== 0 || !isError(output)) return;
  const quote = addressesOf(ip.subarray(source === snat4 ? 28 : 48));
  assert.equal(quote[1], source, `an error that quotes ${quote.join(" → ")} would leave`);
  assert.ok(!inside(quote[0]), `an error that quotes ${quote.join(" → ")} would leave`);
}

export function hostileProperties(runs: Runs): void {
  for (const automap of [false, true])
    test(`any bytes${automap ? ", automap" : ""}: no trap, each counted once, no inner source outside`, async () => {
      const lab = await startLab();
      const inbound = (address: string) => (automap ? aliases[address]! : address);
      lab.configure({
        dns: true,
        pool: [snat4, snat6].map((address) => poolEntry(address, { inbound: inbound(address) })),
      });
      const valid = seeds(lab, (flow) => ({ ...flow, snat: inbound(flow.snat) }));
      const reasons = new Set<string>();
      let now = 1000;
      let held = 0;
      const property = fc.property(input, (chosen) => {
        const packet = packetOf(chosen, valid);
        // A device never delivers nothing.
        if (packet.length === 0) return;
        const before = lab.counters().packets;
        now += 1;
        const result = lab.push([packet], now);
        const given = result.asked.map((address) => lab.unknown(address, false, now));
        const results = [result, ...given];
        held += 1 - checkCounted(packet, before, lab.counters().packets, results);
        assert.ok(held >= 0 && held <= 64, `${held} fragments held`);
        for (const { outputs, drops } of results) {
          outputs.forEach(checkSource);
          for (const output of outputs) assert.ok(readVnet(output).flags <= 1);
          for (const reason of Object.keys(drops)) reasons.add(reason);
        }
        if (now % 997 === 0) held -= lab.sweep(now).drops.FRAGMENT_TIMEOUT ?? 0;
      });
      fc.assert(property, runs);
      assert.ok(reasons.size >= 15, `only ${[...reasons]}`);
      now += 2001;
      assert.equal(lab.sweep(now).drops.FRAGMENT_TIMEOUT ?? 0, held, "what was held is counted in the end");
      // Whatever came: a real connection still works.
      openFlowAt(lab, { ...flow46, seen: nat4 }, { ...flow46, snat: inbound(snat6) }, "tcp");
    });
}
