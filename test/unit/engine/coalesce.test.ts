/** UDP datagrams merged into super-packets: what the kernel cuts out of one is what would have gone alone. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { type Lab, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flows,
  fromPod,
  fromRemote,
  innerFamily,
  openFlow,
  outerFamily,
} from "../../support/flows.ts";
import {
  buildPacket,
  extensionHeader,
  familyOf,
  type PacketInput,
  type PacketSpec,
} from "../../support/packets.ts";
import { completed, segmented } from "../../support/segment.ts";
import { withVnet } from "../../support/vnet.ts";

const partial = { checksum: "partial" } as const;
const payload = (length: number, fill: number) => new Uint8Array(length).fill(fill);

interface Way {
  readonly name: string;
  readonly packet: (details: Partial<PacketSpec>, port?: number) => PacketInput;
}

/** Both ways of a flow whose sessions for inner ports 4000 and 4001 are open. */
function waysOf(lab: Lab, flow: Flow): Way[] {
  const outer = new Map([4000, 4001].map((port) => [port, openFlow(lab, flow, "udp", port)]));
  return [
    { name: flow.out, packet: (details, port = 4000) => fromPod(flow, "udp", port, details) },
    { name: flow.in, packet: (details, port = 4000) => fromRemote(flow, "udp", outer.get(port)!, details) },
  ];
}

async function mergingLab(): Promise<Lab> {
  const lab = await startLab();
  lab.configure({ coalesceUdp: true });
  return lab;
}

/** The datagrams that come out, cut as the kernel cuts them; each super-packet's lengths and sums are right. */
function cut(outputs: readonly Uint8Array[]): { packets: number; payloads: Uint8Array[]; ports: number[] } {
  const payloads: Uint8Array[] = [];
  const ports: number[] = [];
  for (const output of outputs) {
    const { payload: whole, gsoSize = whole.length || 1, sourcePort } = decode(output);
    for (let at = 0; at === 0 || at < whole.length; at += gsoSize) {
      payloads.push(whole.slice(at, at + gsoSize));
      ports.push(sourcePort);
    }
  }
  return { packets: outputs.length, payloads, ports };
}

/** What stands between IP and UDP header, and which extension header is the first. */
const between: readonly (readonly [
  name: string,
  family: 4 | 6,
  options: Uint8Array,
  firstExtension: number,
])[] = [
  ["IPv4 options", 4, Uint8Array.of(1, 1, 1, 0), 0],
  ["a Destination Options header", 6, extensionHeader(17, 1), 60],
  ["an atomic fragment header", 6, Uint8Array.of(17, 0, 0, 0, 1, 2, 3, 4), 44],
];

interface Row {
  readonly name: string;
  readonly sent: readonly (readonly [Partial<PacketSpec>, port?: number])[];
  /** How many packets come out. */
  readonly packets: number;
}
const many = (count: number, details: Partial<PacketSpec> = {}) =>
  Array.from({ length: count }, (_, i) => [{ ...partial, payload: payload(64, i), ...details }] as const);
const rows: readonly Row[] = [
  { name: "1 alone", sent: many(1), packets: 1 },
  { name: "2 of one size", sent: many(2), packets: 1 },
  { name: "64", sent: many(64), packets: 1 },
  {
    name: "a shorter one is the last of its packet",
    sent: [...many(3), [{ ...partial, payload: payload(9, 1) }], ...many(2)],
    packets: 2,
  },
  {
    name: "a longer one begins anew",
    sent: [...many(2), [{ ...partial, payload: payload(65, 1) }]],
    packets: 2,
  },
  {
    name: "1,400 bytes each: 65,000 bytes at most",
    sent: many(50, { payload: payload(1400, 7) }),
    packets: 2,
  },
  { name: "another traffic class", sent: [...many(2), ...many(2, { tos: 8 })], packets: 2 },
  { name: "another hop limit", sent: [...many(2), ...many(2, { hops: 33 })], packets: 2 },
  {
    name: "two flows in turn",
    sent: [0, 1, 0, 1].map((n) => [{ ...partial, payload: payload(64, n) }, 4000 + n] as const),
    packets: 4,
  },
  {
    name: "two flows, one behind the other",
    sent: [0, 0, 1, 1].map((n) => [{ ...partial, payload: payload(64, n) }, 4000 + n] as const),
    packets: 2,
  },
  {
    name: "whole checksums that nobody verified stay apart",
    sent: many(3, { checksum: "complete" }),
    packets: 3,
  },
  { name: "empty datagrams", sent: many(2, { payload: payload(0, 0) }), packets: 2 },
];

for (const flow of flows)
  for (const index of [0, 1] as const)
    describe(index === 0 ? flow.out : flow.in, () => {
      for (const { name, sent, packets } of rows)
        test(`${name}: ${packets} packet${packets === 1 ? "" : "s"}, the same datagrams in the same order`, async () => {
          const lab = await mergingLab();
          const way = waysOf(lab, flow)[index]!;
          const inputs = sent.map(([details, port]) => buildPacket(way.packet(details, port)));
          const before = lab.counters().packets;
          const { outputs, drops } = lab.push(inputs);
          assert.deepEqual(drops, {});
          const result = cut(outputs);
          assert.equal(result.packets, packets);
          assert.deepEqual(
            result.payloads,
            sent.map(([details]) => details.payload),
          );
          const counted = lab.counters().packets.reduce((sum, n, path) => sum + n - before[path]!, 0);
          assert.equal(counted, sent.length, "each datagram counts");
        });

      test("verified by the device: merged, the checksum made anew", async () => {
        const lab = await mergingLab();
        const way = waysOf(lab, flow)[index]!;
        const inputs = many(3, { checksum: "complete" }).map(([details]) =>
          withVnet(buildPacket(way.packet(details)), { flags: 2 }),
        );
        const { outputs } = lab.push(inputs);
        assert.equal(cut(outputs).packets, 1);
        assert.equal(cut(outputs).payloads.length, 3);
      });

      test("IPv4 without DF: each identification once (RFC 6864 §4.3); the sender's own stays", async () => {
        const lab = await mergingLab();
        const way = waysOf(lab, flow)[index]!;
        const used = Array.from({ length: 600 }, (_, i) => (i * 7919) & 0xffff);
        const sent = [...many(128), ...many(472, { checksum: "complete" })].map(([details], i) =>
          buildPacket(way.packet({ ...details, dontFragment: false, identification: used[i]! })),
        );
        const packets = lab
          .push(sent)
          .outputs.flatMap(segmented)
          .map((packet) => decode(completed(packet)));
        assert.equal(packets.length, sent.length);
        if (familyOf(packets[0]!) === 6) return;
        const identifications = packets.map(({ identification }) => identification);
        if (flow.seen === flow.remote) assert.deepEqual(identifications, used);
        else assert.equal(new Set(identifications).size, sent.length);
      });

      const own = index === 0 ? innerFamily(flow) : outerFamily(flow);
      for (const [name, , options, firstExtension] of between.filter(([, family]) => family === own))
        test(`behind ${name}: each alone`, async () => {
          const lab = await mergingLab();
          const way = waysOf(lab, flow)[index]!;
          const sent = many(3, { options, firstExtension }).map(([details]) => way.packet(details));
          const { outputs, drops } = lab.push(sent);
          assert.deepEqual(drops, {});
          assert.equal(outputs.length, 3);
        });

      test("off: each alone", async () => {
        const lab = await startLab();
        const way = waysOf(lab, flow)[index]!;
        assert.equal(lab.push(many(3).map(([details]) => way.packet(details))).outputs.length, 3);
      });
    });

for (const flow of flows)
  for (const [name, options] of [
    ["plain", {}],
    ["off the fast path", { hops: 2 }],
  ] as const)
    test(`${flow.out}, out, in and out again in one batch, ${name}: each the way it goes`, async () => {
      const lab = await mergingLab();
      const ways = waysOf(lab, flow);
      const turns = [0, 1, 0, 0, 1, 1] as const;
      // Translated: without DF, as the other side's packets are.
      const dontFragment = flow.seen === flow.remote;
      const sent = turns.map((n, i) =>
        ways[n]!.packet({ ...partial, ...options, dontFragment, payload: payload(64, i) }),
      );
      const { outputs, drops } = lab.push(sent);
      assert.deepEqual(drops, {});
      const sides = outputs.map((output) => {
        const { destination, payload } = decode(output);
        return [destination, payload.length];
      });
      assert.deepEqual(sides, [
        [flow.remote, 64],
        [flow.pod, 64],
        [flow.remote, 128],
        [flow.pod, 128],
      ]);
    });
