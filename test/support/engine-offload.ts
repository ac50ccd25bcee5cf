/**
 * A super-packet through the engine, then cut, and its segments through the engine one by one: the same bytes on the
 * wire. Segments of any size up to what fits both links (RFC 7915 leaves out those that must shrink on the way).
 *
 * IPv4's identification: within IPv4 it is compared as every other byte. 6→4 the engine makes it, and DF with it: a
 * stream of segments has DF=1, where any identification is right (RFC 6864 §4.1); a packet alone has DF=0 up to 1260
 * bytes (RFC 7915 §5.1) and then an identification that no other has. Those rules are checked, the rest is compared.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode } from "./decode.ts";
import { type Lab, labSettings, startLab } from "./engine.ts";
import { type Direction, directions, passage, payload } from "./fragment-scene.ts";
import { buildPacket, extensionHeader, familyOf, get16, onesSum, type PacketSpec, put16 } from "./packets.ts";
import { completed, segmented } from "./segment.ts";
import { readVnet, VNET_BYTES, withVnet } from "./vnet.ts";

type Runs = { readonly numRuns: number; readonly seed: number };

const CWR = 0x80;
const GSO_ECN = 0x80;
const noOptions = new Uint8Array(0);

const scene = fc.record({
  mtuInner: fc.oneof(fc.constantFrom(1280, 1500, 9000), fc.integer({ min: 1280, max: 9000 })),
  mtuOuter: fc.oneof(fc.constantFrom(1280, 1500, 9000), fc.integer({ min: 1280, max: 9000 })),
  /** Of the largest segment that fits, in thousandths; 1000 is exactly it. */
  part: fc.oneof(fc.constant(1000), fc.integer({ min: 1, max: 1000 })),
  /** Whole segments, and bytes of the last one in thousandths. */
  segments: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 60 })),
  rest: fc.oneof(fc.constant(1000), fc.integer({ min: 1, max: 1000 })),
  sequence: fc.oneof(fc.constant(0xffff_fff0), fc.nat(0xffff_ffff)),
  flags: fc.nat(255).map((flags) => (flags & ~0x07 & 0xff) | 16),
  finish: fc.boolean(),
  ecn: fc.nat(3),
  dscp: fc.nat(63),
  hops: fc.integer({ min: 3, max: 255 }),
  flowLabel: fc.nat(0xfffff),
  identification: fc.nat(0xffff),
  dontFragment: fc.boolean(),
  tcpOptions: fc.integer({ min: 0, max: 10 }).map((words) => new Uint8Array(words * 4).fill(1)),
  ipOptions: fc.integer({ min: 0, max: 3 }),
  salt: fc.nat(255),
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

/** A super-packet that the session of the direction carries. */
function superPacket(lab: Lab, direction: Direction, protocol: "tcp" | "udp", chosen: Scene): Uint8Array {
  const four = familyOf({ source: direction.outward ? direction.flow.pod : direction.flow.remote }) === 4;
  const options = four ? new Uint8Array(chosen.ipOptions * 4).fill(1) : chain(protocol, chosen.ipOptions);
  const tcpOptions = protocol === "tcp" ? chosen.tcpOptions : noOptions;
  // As IPv6 with these options it would still fit the smaller of both links.
  const largest =
    Math.min(chosen.mtuInner, chosen.mtuOuter) -
    40 -
    options.length -
    (protocol === "tcp" ? 20 + tcpOptions.length : 8);
  const gsoSize = Math.max(1, Math.floor((largest * chosen.part) / 1000));
  const room = 65_400 - 80 - options.length - tcpOptions.length;
  const count = Math.max(1, Math.min(chosen.segments, Math.floor(room / gsoSize) - 1));
  const length = gsoSize * count + Math.max(1, Math.floor((gsoSize * chosen.rest) / 1000));
  const details: Partial<PacketSpec> = {
    checksum: "partial",
    gsoSize,
    payload: payload(length, chosen.salt),
    tos: (chosen.dscp << 2) | chosen.ecn,
    hops: chosen.hops,
    flowLabel: four ? 0 : chosen.flowLabel,
    identification: four ? chosen.identification : 0,
    // What IPv4 routers may cut, the engine cuts to the lowest MTU of IPv6: no packet alone is left to compare.
    dontFragment: chosen.dontFragment || gsoSize > 1100,
    options,
    firstExtension: 60,
    tcpFlags: chosen.flags | (chosen.finish ? 1 : 0),
    tcpOptions,
  };
  const { sent } = passage(lab, direction, protocol, 4000, details);
  const packet = buildPacket(sent);
  if (protocol === "udp") return packet;
  const transport = VNET_BYTES + (four ? 20 : 40) + options.length;
  // A partial checksum covers no sequence number.
  new DataView(packet.buffer).setUint32(transport + 4, chosen.sequence);
  const ecn = (sent.tcpFlags & CWR) !== 0 ? GSO_ECN : 0;
  return withVnet(packet, { gsoType: readVnet(packet).gsoType | ecn });
}

/** The next one that its sender sends: it numbers its IPv4 packets on. */
function following(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  if (copy[VNET_BYTES]! >> 4 === 6) return copy;
  put16(copy, VNET_BYTES + 4, (get16(copy, VNET_BYTES + 4) + segmented(packet).length) & 0xffff);
  put16(copy, VNET_BYTES + 10, 0);
  const header = copy.subarray(VNET_BYTES, VNET_BYTES + (copy[VNET_BYTES]! & 15) * 4);
  put16(copy, VNET_BYTES + 10, onesSum(header) ^ 0xffff);
  return copy;
}

const chain = (protocol: "tcp" | "udp", units: number) =>
  units === 0 ? noOptions : extensionHeader(protocol === "tcp" ? 6 : 17, units);

/** DF and identifications by the rule; then without them. */
function comparable(wire: readonly Uint8Array[], direction: Direction, stream: boolean): Uint8Array[] {
  if (!direction.name.startsWith("6→4")) return [...wire];
  const used = new Set<number>();
  return wire.map((packet) => {
    const ip = VNET_BYTES;
    const total = packet.length - ip;
    const { dontFragment, identification } = decode(packet);
    if (!stream) assert.equal(dontFragment, total > 1260, `DF of ${total} bytes`);
    if (!dontFragment) {
      assert.ok(!used.has(identification), `identification ${identification} twice`);
      used.add(identification);
    }
    const copy = packet.slice();
    put16(copy, ip + 4, 0);
    put16(copy, ip + 6, get16(copy, ip + 6) & ~0x4000);
    put16(copy, ip + 10, 0);
    put16(copy, ip + 10, onesSum(copy.subarray(ip, ip + 20)) ^ 0xffff);
    return copy;
  });
}

function same(got: readonly Uint8Array[], wanted: readonly Uint8Array[], what: string): void {
  assert.equal(got.length, wanted.length, `${what}: segments`);
  got.forEach((packet, index) => {
    if (Buffer.compare(packet, wanted[index]!) === 0) return;
    assert.deepEqual(decode(packet), decode(wanted[index]!), `${what}: segment ${index}`);
    // Fields that decode doesn't tell apart, such as sequence numbers.
    assert.equal(Buffer.from(packet).toString("hex"), Buffer.from(wanted[index]!).toString("hex"), what);
  });
}

export function offloadProperties(runs: Runs): void {
  for (const direction of directions)
    for (const protocol of ["tcp", "udp"] as const)
      test(`${direction.name} ${protocol}: a super-packet, cut, is its segments one by one`, async () => {
        const lab = await startLab();
        const property = fc.property(scene, (chosen) => {
          const { mtuInner, mtuOuter } = chosen;
          lab.configure({ pool: [], coalesceUdp: false });
          lab.configure({ pool: labSettings.pool, mtuInner, mtuOuter });
          lab.sweep(0);
          const packet = superPacket(lab, direction, protocol, chosen);
          const packets = [packet, following(packet)];
          const parts = packets.flatMap(segmented);
          const through = (sent: readonly Uint8Array[], what: string) => {
            const { outputs, drops } = lab.push(sent);
            assert.deepEqual(drops, {}, what);
            return outputs;
          };

          const alone = through(parts.map(completed), "one by one");
          const wanted = comparable(alone, direction, false);
          assert.equal(alone.length, parts.length);

          const translated = through(packets, "super-packets");
          assert.equal(translated.length, packets.length);
          for (const output of translated) {
            decode(output);
            assert.equal(readVnet(output).gsoType & GSO_ECN, readVnet(packet).gsoType & GSO_ECN);
          }
          const cut = translated.flatMap(segmented).map(completed);
          same(comparable(cut, direction, true), wanted, "super-packets");

          lab.configure({ coalesceUdp: true });
          const merged = through(parts, "merged").flatMap(segmented).map(completed);
          same(comparable(merged, direction, true), wanted, "merged");
        });
        fc.assert(property, { ...runs, includeErrorInReport: true });
      });
}
