/** The ICMP errors that the engine originates: whom from, whom to, what they say and what they quote. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { labSettings, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  fromPod,
  fromRemote,
  innerFamily,
  openFlow,
  outerFamily,
} from "../../support/flows.ts";
import { buildPacket, get16, type PacketSpec } from "../../support/packets.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

const payload = new Uint8Array(1480).map((_, index) => index);
const alias4 = "192.168.46.9";
const alias6 = "fd46::9";

interface Row {
  readonly name: string;
  readonly flow: Flow;
  readonly way: "out" | "in";
  readonly details: Partial<PacketSpec>;
  readonly type: number;
  readonly code: number;
  /** The 32-bit word behind the checksum. */
  readonly word: number;
}
const rows: readonly Row[] = [
  {
    name: "4→6 too big: MTU as IPv4 counts",
    flow: flow46,
    way: "out",
    details: { payload },
    type: 3,
    code: 4,
    word: 1480,
  },
  { name: "4→4 too big", flow: flow44, way: "out", details: { payload }, type: 3, code: 4, word: 1500 },
  { name: "6→6 too big", flow: flow66, way: "out", details: { payload }, type: 2, code: 0, word: 1500 },
  { name: "4→6 time exceeded", flow: flow46, way: "out", details: { hops: 1 }, type: 11, code: 0, word: 0 },
  {
    name: "6→4 too big: MTU as IPv6 counts",
    flow: flow46,
    way: "in",
    details: { payload },
    type: 2,
    code: 0,
    word: 1420,
  },
  {
    name: "4→4 too big, inbound",
    flow: flow44,
    way: "in",
    details: { payload },
    type: 3,
    code: 4,
    word: 1400,
  },
  {
    name: "6→6 too big, inbound",
    flow: flow66,
    way: "in",
    details: { payload },
    type: 2,
    code: 0,
    word: 1400,
  },
  {
    name: "NAT64, 6→4 too big: MTU as IPv6 counts",
    flow: flow64,
    way: "out",
    details: { payload },
    type: 2,
    code: 0,
    word: 1520,
  },
  {
    name: "NAT64, 4→6 too big: MTU as IPv4 counts",
    flow: flow64,
    way: "in",
    details: { payload },
    type: 3,
    code: 4,
    word: 1380,
  },
  {
    name: "NAT64, 6→4 time exceeded",
    flow: flow64,
    way: "out",
    details: { hops: 1 },
    type: 3,
    code: 0,
    word: 0,
  },
  {
    name: "NAT64, 4→6 time exceeded",
    flow: flow64,
    way: "in",
    details: { hops: 1 },
    type: 11,
    code: 0,
    word: 0,
  },
  { name: "6→4 time exceeded", flow: flow46, way: "in", details: { hops: 1 }, type: 3, code: 0, word: 0 },
];

for (const automap of [false, true])
  describe(`ICMP errors${automap ? ", automap" : ""}`, () => {
    for (const { name, flow, way, details, type, code, word } of rows)
      test(name, async () => {
        const lab = await startLab();
        const inbound = automap ? [alias4, alias6] : [snat4, snat6];
        lab.configure({
          mtuInner: way === "in" ? 1400 : 1500,
          pool: [poolEntry(snat4, { inbound: inbound[0]! }), poolEntry(snat6, { inbound: inbound[1]! })],
        });
        // The host rewrites what arrives for the address to the alias.
        const arriving = { ...flow, snat: outerFamily(flow) === 4 ? inbound[0]! : inbound[1]! };
        const outer = openFlow(lab, flow, "udp", 4000);
        const sent =
          way === "out" ? fromPod(flow, "udp", 4000, details) : fromRemote(flow, "udp", outer, details);
        const handed = way === "out" ? sent : fromRemote(arriving, "udp", outer, details);
        const error = decode(lab.push([handed]).outputs[0]!);
        assert.equal(error.destination, sent.source, "to the sender");
        const self = innerFamily(flow) === 6 ? labSettings.self6 : labSettings.self4;
        assert.equal(error.source, way === "out" ? self : flow.snat, "no inner address goes outside");
        assert.deepEqual([error.icmp!.type, error.icmp!.code], [type, code]);
        assert.equal(get16(error.icmp!.body, 0) * 65536 + get16(error.icmp!.body, 2), word);
        const quote = error.icmp!.body.subarray(4);
        const original = buildPacket(sent).subarray(VNET_BYTES);
        assert.deepEqual(quote, original.subarray(0, quote.length), "quotes what was sent");
        const limit = error.source.includes(":") ? 1280 - 48 : 576 - 28;
        assert.equal(quote.length, Math.min(original.length, limit));
      });
  });

describe("ICMP errors are rate-limited", () => {
  const expired = buildPacket(fromPod(flow46, "udp", 4000, { hops: 1 }));
  const flood = Array.from({ length: 400 }, () => expired);
  test("a burst of a hundred, then a thousand a second", async () => {
    const lab = await startLab();
    const first = lab.push(flood, 0);
    assert.deepEqual([first.outputs.length, first.drops], [100, { HOP_LIMIT_EXPIRED: 400 }]);
    assert.equal(lab.push(flood, 20).outputs.length, 20);
  });
  for (const pause of [1000, 4_294_968, 4_294_990, 2 ** 31])
    test(`the whole burst again after ${pause} ms`, async () => {
      const lab = await startLab();
      lab.push(flood, 0);
      assert.equal(lab.push(flood, pause).outputs.length, 100);
    });
});

test("without an own address, the error comes from where the packet was sent", async () => {
  const lab = await startLab();
  lab.configure({ self4: undefined, self6: undefined });
  for (const flow of [flow46, flow66, flow64]) {
    const error = decode(lab.push([fromPod(flow, "udp", 4000, { payload })]).outputs[0]!);
    assert.deepEqual([error.source, error.destination], [flow.seen, flow.pod]);
  }
});
