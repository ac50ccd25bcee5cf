/** The fast path and the pipeline give the same packets the same bytes, whatever state the sessions are in. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Path } from "../../src/engine/layout.gen.ts";
import { type Lab, labSettings, startLab } from "../support/engine.ts";
import { flows, fromPod, fromRemote, openFlow } from "../support/flows.ts";
import { buildPacket, type PacketSpec, type Protocol } from "../support/packets.ts";
import { VNET_BYTES } from "../support/vnet.ts";

const seed = Number(process.env.EG46_SEED ?? 46);
const key = Buffer.alloc(16, seed);
const protocols: readonly Protocol[] = ["tcp", "udp"];
const ports = [4000, 4001];
const { OUT_46, IN_64, OUT_44, IN_44, OUT_66, IN_66, OUT_64, IN_46 } = Path;
const ways = { OUT_46, IN_64, OUT_44, IN_44, OUT_66, IN_66, OUT_64, IN_46 };
const gsoType = 1;
const congestionBit = 0x80;

/** An offload header that says 'no segments, but congestion' means the same, and the fast path leaves it alone. */
function ruffled(packet: Uint8Array): Uint8Array {
  return packet[gsoType] === 0 ? packet.with(gsoType, congestionBit) : packet;
}

/** Where packets of some way and protocol reach 1260, 1280 or 1500 bytes, and one byte more. */
const edges = [0, 1, 32, 1220, 1221, 1232, 1233, 1440, 1441, 1452, 1453, 1460, 1461, 1472, 1473];

const details = fc.record({
  length: fc.oneof(fc.constantFrom(...edges), fc.nat(1500)),
  hops: fc.oneof(fc.constantFrom(1, 2, 3, 64), fc.nat(255)),
  tos: fc.constantFrom(0, 0, 184),
  dontFragment: fc.boolean(),
  tcpFlags: fc.oneof({ weight: 6, arbitrary: fc.constant(16) }, { weight: 1, arbitrary: fc.nat(63) }),
  checksum: fc.constantFrom<PacketSpec["checksum"]>("complete", "partial"),
});
const packet = fc.record({
  flow: fc.nat(flows.length - 1),
  protocol: fc.nat(protocols.length - 1),
  port: fc.nat(ports.length - 1),
  inward: fc.boolean(),
  details,
  /** The device has verified the checksum. */
  verified: fc.boolean(),
  /** Bytes of the headers that are changed, and by what. */
  damage: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fc.tuple(fc.nat(VNET_BYTES + 63), fc.nat(255)), { maxLength: 2 }) },
  ),
  repeat: fc.integer({ min: 1, max: 3 }),
});
type Packet = typeof packet extends fc.Arbitrary<infer T> ? T : never;

async function prepare() {
  const lab = await startLab({ key });
  lab.configure({ ...labSettings, coalesceUdp: true });
  const outer = new Map<string, number>();
  for (const [f, flow] of flows.entries())
    for (const [p, protocol] of protocols.entries())
      for (const [n, port] of ports.entries())
        outer.set(`${f} ${p} ${n}`, openFlow(lab, flow, protocol, port));
  return { lab, outer };
}

function build(outer: ReadonlyMap<string, number>, chosen: Packet): Uint8Array[] {
  const flow = flows[chosen.flow]!;
  const protocol = protocols[chosen.protocol]!;
  const { length, ...rest } = chosen.details;
  const spec = { ...rest, payload: Uint8Array.from({ length }, (_, i) => i * 7) };
  const built = buildPacket(
    chosen.inward
      ? fromRemote(flow, protocol, outer.get(`${chosen.flow} ${chosen.protocol} ${chosen.port}`)!, spec)
      : fromPod(flow, protocol, ports[chosen.port]!, spec),
  );
  if (chosen.verified && built[0] === 0) built[0] = 2;
  for (const [at, by] of chosen.damage) if (at < built.length) built[at]! ^= by;
  return Array.from({ length: chosen.repeat }, () => built);
}

function outcome(lab: Lab, packets: readonly Uint8Array[], nowMs: number) {
  const { outputs, drops, questions } = lab.push(packets, nowMs);
  const { packets: counted, bytes } = lab.counters();
  return {
    outputs: outputs.map((output) => Buffer.from(output).toString("hex")),
    drops,
    questions,
    counted,
    bytes,
  };
}

describe(`fast path, seed ${seed}`, () => {
  test("any batches, UDP merged: the pipeline's bytes, drops and counters", async () => {
    const straight = await prepare();
    const long = await prepare();
    assert.deepEqual(long.outer, straight.outer, "two engines with one key choose the same ports");
    let nowMs = 0;
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 12 }), (batch) => {
        const packets = batch.flatMap((each) => build(straight.outer, each));
        nowMs += 10;
        const expected = outcome(long.lab, packets.map(ruffled), nowMs);
        assert.deepEqual(outcome(straight.lab, packets, nowMs), expected);
      }),
      { seed, numRuns: 3000 },
    );
    const { packets: counted } = straight.lab.counters();
    for (const [name, path] of Object.entries(ways))
      assert.ok(counted[path]! > 1000, `every way was gone often: ${name} ${counted[path]} times`);
  });
});
