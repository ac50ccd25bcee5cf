/** Properties of fragments: any cuts, any order, any batches. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Path } from "../../src/engine/layout.gen.ts";
import { labSettings, type Result, startLab } from "./engine.ts";
import { checkSource } from "./engine-hostile.ts";
import {
  checkWhole,
  directions,
  otherSender,
  type Passage,
  passage,
  payload,
  sameFamily,
} from "./fragment-scene.ts";
import { cut, readPiece, writePiece } from "./fragments.ts";
import { buildPacket, type Protocol } from "./packets.ts";
import { VNET_BYTES } from "./vnet.ts";

type Runs = { readonly numRuns: number; readonly seed: number };

const packet = fc.record({
  direction: fc.constantFrom(...directions),
  /** Another Pod or remote end than the packets of sender 0 have. */
  sender: fc.nat(2),
  protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
  length: fc.oneof(fc.integer({ min: 60, max: 3000 }), fc.integer({ min: 3000, max: 20_000 })),
  /** Where it is cut, as parts of the whole. */
  cuts: fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 8 }),
  identification: fc.oneof(fc.nat(2), fc.nat(0xffffffff)),
});
const scene = fc.record({
  packets: fc.array(packet, { minLength: 1, maxLength: 4 }),
  /** A piece's place in the order; missing ones keep theirs. */
  order: fc.array(fc.nat(100), { maxLength: 40 }),
  /** After which pieces a batch ends. */
  batches: fc.array(fc.boolean(), { maxLength: 40 }),
});
type Scene = typeof scene extends fc.Arbitrary<infer T> ? T : never;

/** Multiples of eight; the first piece holds the transport header. */
function endsOf(length: number, cuts: readonly number[]): number[] {
  const ends = cuts.map((part) => Math.max(24, Math.floor((length * part) / 8000) * 8));
  return [...new Set(ends)].filter((end) => end < length).sort((a, b) => a - b);
}

function shuffled(pieces: readonly Uint8Array[], { order, batches }: Scene): Uint8Array[][] {
  const sorted = pieces
    .map((each, index) => ({ each, rank: order[index] ?? index }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ each }) => each);
  const result: Uint8Array[][] = [[]];
  sorted.forEach((each, index) => {
    result.at(-1)!.push(each);
    if (batches[index]) result.push([]);
  });
  return result;
}

export function fragmentProperties(runs: Runs): void {
  test("any cuts in any order: the same bytes as the whole packet translated", async () => {
    const lab = await startLab();
    let now = 0;
    const property = fc.property(scene, (chosen) => {
      now += 10_000;
      lab.configure({ pool: [], mtuInner: 65_535, mtuOuter: 65_535 });
      lab.configure({ pool: labSettings.pool });
      lab.sweep(now);
      const passages: Passage[] = [];
      const pieces: Uint8Array[] = [];
      const used = new Set<string>();
      chosen.packets.forEach(({ direction, sender, protocol, length, cuts, identification }, index) => {
        if (protocol === "icmp" && !sameFamily(direction)) return;
        const from = sender === 0 ? direction : otherSender(lab, direction, 80 + sender);
        const one = passage(lab, from, protocol, 4000 + index, { payload: payload(length, index) }, now);
        const whole = buildPacket(one.sent);
        const { family, source, destination } = readPiece(whole);
        // Senders don't use an identification twice at a time, also not in the 16 bits that IPv4 has.
        const id = family === 4 ? identification & 0xffff : identification;
        const key = [source, destination, protocol, id & 0xffff].join(" ");
        if (used.has(key)) return;
        used.add(key);
        passages.push(one);
        pieces.push(...cut(whole, endsOf(readPiece(whole).data.length, cuts), id));
      });
      const results = shuffled(pieces, chosen).map((batch) => lab.push(batch, now));
      assert.deepEqual(
        results.map(({ drops }) => drops),
        results.map(() => ({})),
      );
      const outputs = results.flatMap((result) => result.outputs);
      outputs.forEach(checkSource);
      checkWhole(outputs, passages);
    });
    fc.assert(property, { ...runs, includeErrorInReport: true });
  });

  test("fragments of any fields, any order: each counted once in the end, no inner source outside", async () => {
    const lab = await startLab();
    const port = 4000;
    const sessions = directions.map((direction) =>
      passage(lab, direction, "udp", port, { payload: payload(100) }),
    );
    const fields = fc.record({
      which: fc.nat(sessions.length - 1),
      foreign: fc.boolean(),
      identification: fc.nat(3),
      offset: fc.oneof(fc.constant(0), fc.nat(8191)).map((units) => units * 8),
      more: fc.boolean(),
      protocol: fc.constantFrom(17, 17, 17, 6, 1, 58, 50),
      from: fc.nat(40),
      to: fc.integer({ min: 40, max: 108 }),
      dontFragment: fc.boolean(),
    });
    let now = 0;
    const property = fc.property(fc.array(fields, { minLength: 1, maxLength: 60 }), (list) => {
      now += 1;
      const packets = list.map(({ which, foreign, from, to, ...change }) => {
        const piece = readPiece(buildPacket(sessions[which]!.sent));
        const packet = writePiece({
          ...piece,
          ...change,
          fragmentHeader: true,
          data: piece.data.slice(from, to),
        });
        // Another source, whose first byte nobody inside has.
        if (foreign) packet[VNET_BYTES + (piece.family === 4 ? 12 : 8)] = 0x2a;
        return packet;
      });
      const before = lab.counters().packets;
      const results = [lab.push(packets, now), lab.sweep(now + 2001)];
      now += 2001;
      const after = lab.counters().packets;
      const went = after.reduce((sum, count, path) => sum + count - before[path]!, 0);
      const outputs = results.flatMap((result) => result.outputs);
      outputs.forEach(checkSource);
      assert.equal(went - errors(before, after) + drops(results), list.length);
    });
    fc.assert(property, { ...runs, numRuns: Math.ceil(runs.numRuns / 4) });
  });
}

const drops = (results: readonly Result[]) =>
  results.flatMap((result) => Object.values(result.drops)).reduce((sum, count) => sum + count, 0);
const errors = (before: readonly number[], after: readonly number[]) =>
  after[Path.ICMP_ERROR]! - before[Path.ICMP_ERROR]!;
