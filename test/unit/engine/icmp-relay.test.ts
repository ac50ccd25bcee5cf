/** ICMP errors about our sessions: addresses, the quoted packet, RFC 4884 extensions, sizes. Byte for byte. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { far4, far64, host6, type Lab, labSettings, nat4, pod4, snat4, snat6 } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "../../support/flows.ts";
import { addressesOf, buildError, extended } from "../../support/icmp.ts";
import {
  assertBytes,
  dummyRouter4,
  outerRouter4,
  outerRouter6,
  relay,
  type Scene,
  type Side,
  setScene,
  side46,
  side64,
  sides,
  startRelayLab,
} from "../../support/icmp-scene.ts";
import {
  be16,
  be32,
  buildPacket,
  concat,
  extensionHeader,
  get16,
  type PacketSpec,
  put16,
} from "../../support/packets.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

const labs = new Map<boolean, Lab>();
const labFor = (automap: boolean) => labs.get(automap)!;
let lab: Lab;
before(async () => {
  for (const automap of [false, true]) labs.set(automap, await startRelayLab(automap));
  lab = labFor(false);
});

let nextPort = 20_000;
const bytes = (length: number, salt = 3) => Uint8Array.from({ length }, (_, index) => index * salt + 5);
const headerOf = (scene: Scene) => scene.quote.length - scene.original.payload.length - transportOf(scene);
const transportOf = ({ original }: Scene) => (original.protocol === "tcp" ? 20 : 8);

/** How much of the quoted packet there is, counted from its transport header. */
const cuts = [
  { name: "8 bytes", of: () => 8 },
  { name: "9 bytes", of: () => 9 },
  { name: "16 bytes, just before the TCP checksum", of: () => 16 },
  { name: "the middle", of: (whole: number) => whole >> 1 },
  { name: "one byte missing", of: (whole: number) => whole - 1 },
  { name: "whole", of: (whole: number) => whole },
];

for (const automap of [false, true])
  for (const side of sides)
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      describe(`${side.name}${automap ? ", automap" : ""}: ${protocol}`, () => {
        for (const length of [33, 200])
          for (const cut of cuts)
            test(`quote of ${length} bytes of payload, ${cut.name}`, () => {
              const details = { payload: bytes(length), tos: 0xb9, identification: 0xbeef };
              const scene = setScene(labFor(automap), side, protocol, nextPort++, { automap, details });
              const kept = cut.of(transportOf(scene) + length);
              const body = scene.quote.subarray(0, headerOf(scene) + kept);
              const result = relay(labFor(automap), scene.error({ body }));
              const expected = scene.expected();
              assertBytes(result.body, expected.subarray(0, ipHeader(side.to) + kept), "quote");
              if (cut.name === "whole") assertBytes(result.body, expected, "quote");
              assert.equal(result.destination, scene.original.source, "to whoever sent the packet");
            });
      });

const ipHeader = (family: 4 | 6) => (family === 4 ? 20 : 40);

describe("whose error it is", () => {
  interface Row {
    readonly name: string;
    readonly side: Side;
    readonly source: string;
    readonly seen: string;
  }
  type Eight = [Side, Side, Side, Side, Side, Side, Side, Side];
  const [, , in44, out44, in66, out66, nat64In, nat64Out] = sides as Eight;
  const rows: readonly Row[] = [
    { name: "the host itself", side: nat64In, source: far4, seen: far64 },
    { name: "a router", side: nat64In, source: outerRouter4, seen: "2001:db8:64::cb00:7101" },
    {
      name: "a router with a private address",
      side: nat64In,
      source: "10.9.9.9",
      seen: "2001:db8:64::a09:909",
    },
    { name: "the Pod", side: nat64Out, source: nat64Out.flow.pod, seen: snat4 },
    { name: "a router inside", side: nat64Out, source: "fd00:1::77", seen: snat4 },
    { name: "the host itself", side: side64, source: host6, seen: nat4 },
    { name: "a router", side: side64, source: outerRouter6, seen: dummyRouter4 },
    { name: "the host itself", side: in44, source: in44.flow.remote, seen: in44.flow.remote },
    { name: "a router", side: in44, source: outerRouter4, seen: outerRouter4 },
    { name: "the host itself", side: in66, source: in66.flow.remote, seen: in66.flow.remote },
    { name: "a router", side: in66, source: outerRouter6, seen: outerRouter6 },
    { name: "the Pod", side: side46, source: side46.flow.pod, seen: snat6 },
    { name: "a router inside", side: side46, source: "10.1.0.77", seen: snat6 },
    { name: "the Pod", side: out44, source: out44.flow.pod, seen: snat4 },
    { name: "a router inside", side: out44, source: "10.1.0.77", seen: snat4 },
    { name: "the Pod", side: out66, source: out66.flow.pod, seen: snat6 },
    { name: "a router inside", side: out66, source: "fd00:1::77", seen: snat6 },
  ];
  for (const automap of [false, true])
    for (const { name, side, source, seen } of rows)
      test(`${side.name}${automap ? ", automap" : ""}, ${name}: ${source} → ${seen}`, () => {
        const scene = setScene(labFor(automap), side, "udp", nextPort++, { automap });
        const result = relay(labFor(automap), scene.error({ source }));
        assert.deepEqual([result.source, result.destination], [seen, scene.original.source]);
        const { source: from, destination: to } = scene.original;
        assert.deepEqual(addressesOf(result.body), [from, to], "the quote is what was sent");
      });
  test("6→4 to the Pod, a router: from the configured address", () => {
    lab.configure({ router4: "10.1.0.46" });
    const scene = setScene(lab, side64, "udp", nextPort++);
    assert.equal(relay(lab, scene.error()).source, "10.1.0.46");
    lab.configure({ router4: undefined });
  });
});

describe("4→6 to the Pod, well-known prefix (RFC 6052 §3.1)", () => {
  const flow: Flow = { ...flow64, seen: "64:ff9b::808:808", remote: "8.8.8.8" };
  for (const [name, source, self6, seen] of [
    ["a router", "9.9.9.9", "fd00:1::1", "64:ff9b::909:909"],
    ["one with a private address: the gateway speaks for it", "10.9.9.9", "fd00:1::1", "fd00:1::1"],
    ["the same, the gateway has no address", "10.9.9.9", undefined, flow.seen],
  ] as const)
    test(name, () => {
      lab.configure({ nat64: "64:ff9b::/96", self6 });
      const scene = setScene(lab, { ...sides[6]!, flow }, "udp", nextPort++);
      assert.equal(relay(lab, scene.error({ source })).source, seen);
      lab.configure({ nat64: labSettings.nat64, self6: labSettings.self6 });
    });
});

describe("outer header", () => {
  for (const side of sides) {
    const hop = side.from === side.to ? 0 : 1;
    test(`${side.name}: hop limit − ${hop}, traffic class as it was, no options`, () => {
      const scene = setScene(lab, side, "udp", nextPort++);
      const result = relay(lab, scene.error({ hops: 33, tos: 0xb9 }));
      assert.deepEqual([result.hops, result.tos, result.flowLabel], [33 - hop, 0xb9, 0]);
      assert.equal(result.options.length, 0);
      assert.equal(relay(lab, scene.error({ hops: 1 + hop })).hops, 1);
    });
  }
});

describe("quoted header", () => {
  const option = Uint8Array.of(148, 4, 0, 0, 1, 1, 1, 0);
  const chain = concat(extensionHeader(60, 1), extensionHeader(43, 2), extensionHeader(17, 1));
  for (const side of sides.filter(({ from, to }) => from === 4 && to === 4))
    test(`${side.name}: options stay`, () => {
      const scene = setScene(lab, side, "udp", nextPort++, { details: { options: option } });
      assertBytes(relay(lab, scene.error()).body, scene.expected(), "quote");
    });
  for (const side of sides.filter(({ from, to }) => from === 6 && to === 6))
    test(`${side.name}: extension headers stay`, () => {
      const details = { options: chain, firstExtension: 0, flowLabel: 0xabcde };
      const scene = setScene(lab, side, "udp", nextPort++, { details });
      assertBytes(relay(lab, scene.error()).body, scene.expected(), "quote");
    });
  test("4→6 to the outside: options are left out", () => {
    const scene = setScene(lab, side46, "udp", nextPort++);
    const quote = concat(scene.quote.subarray(0, 20), option, scene.quote.subarray(20));
    quote[0] = 0x47;
    put16(quote, 2, quote.length);
    assertBytes(relay(lab, scene.error({ body: quote })).body, scene.expected(), "quote");
  });
  test("6→4 to the Pod: extension headers are left out", () => {
    const scene = setScene(lab, side64, "udp", nextPort++);
    const quote = withHeaders(scene.quote, 0, chain);
    assertBytes(relay(lab, scene.error({ body: quote })).body, scene.expected(), "quote");
  });
  test("6→4 to the Pod: more than 1260 bytes have DF", () => {
    for (const [length, dontFragment] of [
      [1260, false],
      [1261, true],
    ] as const) {
      const details = { payload: bytes(length - 28) };
      const scene = setScene(lab, side64, "udp", nextPort++, { details });
      const { body } = relay(lab, scene.error());
      assert.equal(get16(body, 2), length);
      assert.equal((body[6]! & 0x40) !== 0, dontFragment);
    }
  });

  const fragment = (offset: number, more: boolean) =>
    concat(Uint8Array.of(17, 0), be16(offset | Number(more)), be32(0x12345678));
  test("6→4 to the Pod: first fragment, identification cut to 16 bits", () => {
    const scene = setScene(lab, side64, "udp", nextPort++);
    const quote = withHeaders(scene.quote, 44, fragment(0, true));
    const { body } = relay(lab, scene.error({ body: quote }));
    assert.deepEqual([get16(body, 4), get16(body, 6)], [0x5678, 0x2000]);
    const expected = scene.expected({ identification: 0x5678, dontFragment: false });
    assertBytes(body.subarray(20), expected.subarray(20), "transport");
  });
  test("6→4 to the Pod: an atomic fragment is none", () => {
    const scene = setScene(lab, side64, "udp", nextPort++);
    const quote = withHeaders(scene.quote, 44, fragment(0, false));
    assertBytes(relay(lab, scene.error({ body: quote })).body, scene.expected(), "quote");
  });
  test("4→6 to the outside: first fragment, with a fragment header", () => {
    const scene = setScene(lab, side46, "udp", nextPort++);
    const quote = scene.quote.slice();
    put16(quote, 4, 0x5678);
    put16(quote, 6, 0x2000);
    const header = concat(Uint8Array.of(17, 0), be16(1), be32(0x5678));
    const expected = withHeaders(scene.expected(), 44, header);
    assertBytes(relay(lab, scene.error({ body: quote })).body, expected, "quote");
  });
});

/** An IPv6 packet with headers put in; `first` is the kind of the first of them. */
function withHeaders(ip: Uint8Array, first: number, headers: Uint8Array): Uint8Array {
  const longer = concat(ip.subarray(0, 40), headers, ip.subarray(40));
  put16(longer, 4, longer.length - 40);
  longer[6] = first;
  return longer;
}

describe("quoted UDP checksum", () => {
  for (const side of sides)
    test(`${side.name}: a sum of zero is written as ffff`, () => {
      const port = nextPort++;
      const payload = new Uint8Array(40);
      const before = setScene(lab, side, "udp", port, { details: { payload } });
      const field = ipHeader(side.to) + 6;
      payload.set(before.expected().subarray(field, field + 2));
      const scene = setScene(lab, side, "udp", port, { details: { payload } });
      assert.equal(get16(scene.expected(), field), 0xffff);
      assertBytes(relay(lab, scene.error()).body, scene.expected(), "quote");
    });
  for (const side of sides.filter(({ from }) => from === 4))
    test(`${side.name}: none stays none`, () => {
      const scene = setScene(lab, side, "udp", nextPort++);
      const body = scene.quote.slice();
      put16(body, 26, 0);
      assert.equal(get16(relay(lab, scene.error({ body })).body, ipHeader(side.to) + 6), 0);
    });
});

describe("RFC 4884 extensions", () => {
  const extension = bytes(24, 11);
  /** Types with a length attribute; the others have no room for extensions. */
  const kinds: Readonly<Record<4 | 6, readonly (readonly [type: number, code: number, kept: boolean])[]>> = {
    4: [
      [3, 1, true],
      [11, 0, true],
      [3, 4, false],
      [3, 2, false],
      [12, 0, false],
    ],
    6: [
      [1, 0, true],
      [3, 0, true],
    ],
  };
  for (const side of sides)
    for (const [type, code, survives] of kinds[side.from])
      for (const length of [0, 72, 101, 200]) {
        const kept = survives || side.from === side.to;
        test(`${side.name}, ${type}/${code}, ${length} bytes of payload: ${kept ? "kept" : "dropped"}`, () => {
          const scene = setScene(lab, side, "udp", nextPort++, { details: { payload: bytes(length) } });
          const { word, body } = extended(scene.quote, extension, side.from);
          const result = relay(lab, scene.error({ type, code, word, body }));
          const quote = scene.expected();
          if (!kept) return assertBytes(result.body, quote, "the quote alone, without padding");
          const wanted = extended(quote, extension, side.to);
          assertBytes(result.body, wanted.body, "quote, padding, extension");
          assert.equal(result.word, wanted.word, "length attribute");
        });
      }

  for (const side of sides) {
    test(`${side.name}: the quote is cut, not the extension`, () => {
      const details = { payload: bytes(1300) };
      const scene = setScene(lab, side, "udp", nextPort++, { details });
      const cut = scene.quote.subarray(0, side.from === 4 ? 480 : 1160);
      const { word, body } = extended(cut, extension, side.from);
      const result = relay(lab, scene.error({ word, body }));
      const unit = side.to === 4 ? 4 : 8;
      const length = (result.word >>> (side.to === 4 ? 16 : 24)) * unit;
      assertBytes(result.body.subarray(length), extension, "extension");
      const quoted = Math.min(length, cut.length - headerOf(scene) + ipHeader(side.to));
      assertBytes(result.body.subarray(0, quoted), scene.expected().subarray(0, quoted), "quote");
      const total = ipHeader(side.to) + 8 + result.body.length;
      assert.ok(total <= (side.to === 4 ? 576 : 1280), `${total} bytes`);
    });
    test(`${side.name}: an extension that leaves no room for the quote is dropped`, () => {
      const scene = setScene(lab, side, "udp", nextPort++);
      const huge = bytes(side.to === 4 ? 440 : 1120);
      const { word, body } = extended(scene.quote, huge, side.from);
      const result = relay(lab, scene.error({ word, body }));
      assertBytes(result.body, scene.expected(), "quote");
      assert.equal(result.word, 0);
    });
  }
});

describe("size", () => {
  for (const side of sides)
    test(`${side.name}: cut to ${side.to === 4 ? 576 : 1280} bytes`, () => {
      const scene = setScene(lab, side, "udp", nextPort++, { details: { payload: bytes(1400) } });
      const { body } = relay(lab, scene.error());
      const room = (side.to === 4 ? 576 : 1280) - ipHeader(side.to) - 8;
      assertBytes(body, scene.expected().subarray(0, room), "quote");
    });
  test("6→6: extension headers that leave no room for the transport header", () => {
    const scene = setScene(lab, sides[4]!, "udp", nextPort++);
    const quote = withHeaders(scene.quote, 60, extensionHeader(17, 148));
    assert.equal(relay(lab, scene.error({ body: quote })).body.length, 1232);
    const more = withHeaders(scene.quote, 60, extensionHeader(17, 149));
    assert.deepEqual(lab.push([scene.error({ body: more })]).drops, { ICMP_QUOTE_INVALID: 1 });
  });
});

describe("sessions", () => {
  test("an error doesn't prolong them", () => {
    for (const side of [side64, side46]) {
      const port = nextPort++;
      const scene = setScene(lab, side, "udp", port, { nowMs: 1000 });
      relay(lab, scene.error(), 300_900);
      lab.sweep(301_002);
      const answer: PacketSpec = fromRemote(flow46, "udp", scene.outerPort);
      assert.deepEqual(lab.push([answer], 301_002).drops, { INBOUND_NO_SESSION: 1 });
      assert.deepEqual(lab.push([scene.error()], 301_002).drops, { ICMP_ERROR_NO_SESSION: 1 });
    }
  });
  test("nor does it end a TCP connection (RFC 5927)", () => {
    const scene = setScene(lab, side64, "tcp", nextPort++);
    relay(lab, scene.error({ source: host6, type: 1, code: 4 }));
    lab.sweep(7_000_000);
    only(lab, fromRemote(flow46, "tcp", scene.outerPort), 7_000_000);
  });
  test("those of a pool address that was taken away", () => {
    const scene = setScene(lab, side64, "udp", nextPort++);
    const pod = setScene(lab, side46, "udp", nextPort++);
    lab.configure({ pool: labSettings.pool.filter(({ address }) => address !== snat6) });
    assert.deepEqual(lab.push([pod.error()]).drops, { ICMP_ERROR_NO_SESSION: 1 });
    assert.deepEqual(lab.push([scene.error()]).outputs, []);
    lab.configure({ pool: labSettings.pool });
    assert.deepEqual(lab.push([scene.error()]).drops, { ICMP_ERROR_NO_SESSION: 1 });
  });
});

describe("hairpin (RFC 5508 REQ-7)", () => {
  for (const { flow, second, name } of [
    { flow: flow44, second: "10.1.9.9", name: "4→4" },
    { flow: flow66, second: "fd00:1::99", name: "6→6" },
  ])
    test(`${name}: the error of a Pod that was dialled by its outer address`, () => {
      const [podPort, secondPort] = [nextPort++, nextPort++];
      const other = { ...flow, pod: second };
      const to = (destinationPort: number) => ({ destination: flow.snat, destinationPort });
      const outer = openFlow(lab, flow, "udp", podPort);
      const otherOuter = openFlow(lab, other, "udp", secondPort);
      lab.push([fromPod(flow, "udp", podPort, to(otherOuter)), fromPod(other, "udp", secondPort, to(outer))]);
      const dialled = fromPod(flow, "udp", podPort, to(otherOuter));
      const body = only(lab, dialled).subarray(VNET_BYTES);
      assert.deepEqual(addressesOf(body), [flow.snat, second]);
      const kind = flow === flow44 ? { type: 3, code: 3 } : { type: 1, code: 4 };
      const result = relay(lab, buildError({ source: second, destination: flow.snat, ...kind, body }));
      assert.deepEqual([result.source, result.destination], [flow.snat, flow.pod]);
      assertBytes(result.body, buildPacket(dialled).subarray(VNET_BYTES), "quote");
    });
  test("6→4→6: by a NAT64 address of our own SNAT address", () => {
    const [podPort, secondPort] = [nextPort++, nextPort++];
    const other = { ...flow64, pod: "fd00:1::99" };
    const destination = "2001:db8:64::c633:6409";
    const outer = openFlow(lab, flow64, "udp", podPort);
    const otherOuter = openFlow(lab, other, "udp", secondPort);
    const dialled = fromPod(flow64, "udp", podPort, { destination, destinationPort: otherOuter });
    lab.push([dialled, fromPod(other, "udp", secondPort, { destination, destinationPort: outer })]);
    const body = only(lab, dialled).subarray(VNET_BYTES);
    assert.deepEqual(addressesOf(body), [destination, other.pod]);
    const error = buildError({ source: other.pod, destination, type: 1, code: 4, body });
    const result = relay(lab, error);
    assert.deepEqual(
      [result.source, result.destination, result.type, result.code],
      [destination, flow64.pod, 1, 4],
    );
    const expected = buildPacket({ ...dialled, hops: dialled.hops - 2 });
    assertBytes(result.body, expected.subarray(VNET_BYTES), "quote");
  });
  test("4→6→4: by a NAT address that stands for our own SNAT address", () => {
    const [podPort, secondPort] = [nextPort++, nextPort++];
    const other = { ...flow46, pod: "10.1.9.9" };
    const outer = openFlow(lab, flow46, "udp", podPort);
    const otherOuter = openFlow(lab, other, "udp", secondPort);
    lab.install(nat4, snat6);
    const dialled = fromPod(flow46, "udp", podPort, { destinationPort: otherOuter });
    lab.push([dialled, fromPod(other, "udp", secondPort, { destinationPort: outer })]);
    const body = only(lab, dialled).subarray(VNET_BYTES);
    assert.deepEqual(addressesOf(body), [nat4, other.pod]);
    const error = buildError({ source: other.pod, destination: nat4, type: 3, code: 3, body });
    const result = relay(lab, error);
    lab.install(nat4, host6);
    assert.deepEqual([result.source, result.destination, result.type, result.code], [nat4, pod4, 3, 3]);
    const expected = buildPacket({ ...dialled, hops: dialled.hops - 2, dontFragment: false });
    assertBytes(result.body, expected.subarray(VNET_BYTES), "quote");
  });
});
