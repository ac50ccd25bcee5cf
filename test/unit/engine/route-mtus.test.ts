/** Routes whose MTU isn't the interfaces': what fits, what the sender is told, how TCP is cut. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { far4, far6, host6, pod4, pod6, startLab } from "../../support/engine.ts";
import { type Flow, flows, fromPod, fromRemote, only, openFlow } from "../../support/flows.ts";
import { readPiece } from "../../support/fragments.ts";
import { buildError } from "../../support/icmp.ts";
import { get16, mssOption, type PacketSpec, type Protocol, SYN } from "../../support/packets.ts";
import { completed, segmented } from "../../support/segment.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

const routeMtu = 1400;
const bytes = (length: number) => new Uint8Array(length).map((_, index) => index);

interface Way {
  readonly name: string;
  readonly flow: Flow;
  /** Whom the packet goes to. */
  readonly to: string;
  /** IP header of what comes out, and of what goes in. */
  readonly header: number;
  readonly headerBefore: number;
  readonly packet: (protocol: Protocol, outer: number, details: Partial<PacketSpec>) => PacketSpec;
}
const headerOf = (address: string) => (address.includes(":") ? 40 : 20);
const port = 4000;
const ways: readonly Way[] = flows.flatMap((flow) => [
  {
    ...{ name: flow.out, flow, to: flow.remote },
    ...{ header: headerOf(flow.remote), headerBefore: headerOf(flow.pod) },
    packet: (protocol, _, details) => fromPod(flow, protocol, port, details),
  },
  {
    ...{ name: flow.in, flow, to: flow.pod },
    ...{ header: headerOf(flow.pod), headerBefore: headerOf(flow.remote) },
    packet: (protocol, outer, details) => fromRemote(flow, protocol, outer, details),
  },
]);

/** Of a Too Big in whichever family. */
function toldMtu(output: Uint8Array): number {
  const { icmp, source } = decode(output);
  assert.deepEqual([icmp?.type, icmp?.code], source.includes(":") ? [2, 0] : [3, 4]);
  return get16(icmp!.body, 2);
}

for (const { name, flow, to, header, headerBefore, packet } of ways)
  describe(`${name}, route of ${routeMtu}`, () => {
    const udp = (size: number, outer: number, details: Partial<PacketSpec> = {}) =>
      packet("udp", outer, { payload: bytes(size - header - 8), ...details });

    async function lab(protocol: Protocol) {
      const started = await startLab();
      return { lab: started, outer: openFlow(started, flow, protocol, port) };
    }

    test("with DF: what fits passes, what doesn't is told; at once, and no longer when the route is gone", async () => {
      const { lab: engine, outer } = await lab("udp");
      only(engine, udp(1500, outer));
      engine.configure({ routeMtus: [{ to, mtu: routeMtu }] });
      only(engine, udp(routeMtu, outer));
      const { outputs, drops } = engine.push([udp(routeMtu + 1, outer)]);
      assert.deepEqual(drops, { PACKET_TOO_BIG: 1 });
      assert.equal(toldMtu(outputs[0]!), routeMtu - header + headerBefore);
      engine.configure({ routeMtus: [] });
      only(engine, udp(1500, outer));
    });

    if (headerBefore === 20)
      test("without DF (IPv6 has none)", async () => {
        const { lab: engine, outer } = await lab("udp");
        engine.configure({ routeMtus: [{ to, mtu: routeMtu }] });
        engine.limit("lowestMtu6", 9000);
        const { outputs, drops } = engine.push([udp(1500, outer, { dontFragment: false })]);
        assert.deepEqual(drops, {});
        const sizes = outputs.map((output) => readPiece(output).size);
        if (header === 20) assert.deepEqual(sizes, [1500], "the kernel fragments");
        // 1352 is the largest multiple of eight behind 48 bytes of headers.
        else assert.deepEqual(sizes, [routeMtu, 1500 - 40 - 1352 + 48]);
      });

    test("TCP super-packet: segments fit", async () => {
      const { lab: engine, outer } = await lab("tcp");
      engine.configure({ routeMtus: [{ to, mtu: routeMtu }] });
      const sized = (gsoSize: number) =>
        decode(only(engine, packet("tcp", outer, { checksum: "partial", gsoSize, payload: bytes(9000) })))
          .gsoSize;
      assert.equal(sized(1500 - header - 20), routeMtu - header - 20);
      assert.equal(sized(1000), 1000);
    });

    test("UDP super-packet: its datagrams keep their size, or the sender is told", async () => {
      const { lab: engine, outer } = await lab("udp");
      engine.configure({ routeMtus: [{ to, mtu: routeMtu }] });
      const sized = (size: number) =>
        packet("udp", outer, {
          ...{ checksum: "partial", payload: bytes(9000), gsoSize: size - header - 8 },
        });
      only(engine, sized(routeMtu));
      const { outputs, drops } = engine.push([sized(routeMtu + 1)]);
      assert.deepEqual(drops, { PACKET_TOO_BIG: 1 });
      assert.equal(toldMtu(outputs[0]!), routeMtu - header + headerBefore);
    });

    for (const side of [flow.remote, flow.pod])
      test(`MSS of a SYN, the route leads to ${side === flow.remote ? "the outside" : "the Pod"}`, async () => {
        const { lab: engine, outer } = await lab("tcp");
        engine.configure({ routeMtus: [{ to: side, mtu: routeMtu }] });
        const output = only(engine, packet("tcp", outer, { tcpFlags: SYN, tcpOptions: mssOption(9000) }));
        const other = side === flow.remote ? flow.pod : flow.remote;
        const mss = Math.min(routeMtu - headerOf(side), 1500 - headerOf(other)) - 20;
        assert.equal(get16(decode(output).tcpOptions, 2), mss);
      });

    test("a larger MTU than the interface's", async () => {
      const { lab: engine, outer } = await lab("udp");
      engine.configure({ routeMtus: [{ to, mtu: 9000 }] });
      only(engine, udp(9000, outer));
      assert.deepEqual(engine.push([udp(9001, outer)]).drops, { PACKET_TOO_BIG: 1 });
    });

    const whole = header === 20 ? "0.0.0.0/0" : "::/0";
    const wider = header === 20 ? `${to}/15` : `${to}/40`;
    const other = header === 20 ? "::/0" : "0.0.0.0/0";
    const rows: readonly (readonly [string, [to: string, mtu: number][], mtu: number])[] = [
      ["the default route", [[whole, 1300]], 1300],
      [
        "the longest prefix of three",
        [
          [whole, 1300],
          [to, 1450],
          [wider, 1350],
        ],
        1450,
      ],
      [
        "the longer prefix of two",
        [
          [whole, 1450],
          [wider, 1350],
        ],
        1350,
      ],
      [
        "a longer prefix that restores the interface's",
        [
          [whole, 1300],
          [to, 1500],
        ],
        1500,
      ],
      [
        "another prefix",
        [
          ["203.0.113.0/24", 1300],
          ["2001:db8:1::/48", 1300],
        ],
        1500,
      ],
      ["the other family's default route", [[other, 1300]], 1500],
    ];
    for (const [which, routes, mtu] of rows)
      test(`${which}: ${mtu}`, async () => {
        const { lab: engine, outer } = await lab("udp");
        engine.configure({ routeMtus: routes.map((each) => ({ to: each[0], mtu: each[1] })) });
        only(engine, udp(mtu, outer));
        assert.deepEqual(engine.push([udp(mtu + 1, outer)]).drops, { PACKET_TOO_BIG: 1 });
      });
  });

// RFC 7915 §5.1: up to 1260 bytes without DF, for the kernel to cut; no error could make its sender send less than 1280.
for (const { name, flow, headerBefore, header, to, packet } of ways.filter(
  (way) => way.headerBefore === 40 && way.header === 20,
))
  for (const mtu of [576, 1000, 1500])
    for (const size of [1260, 1261])
      for (const gso of [false, true])
        test(`${name}, route of ${mtu}: ${gso ? "a UDP super-packet of datagrams" : "a datagram"} of ${size} bytes ${size > mtu && size > 1260 ? "is refused" : "leaves"}`, async () => {
          const lab = await startLab();
          const outer = openFlow(lab, flow, "udp", port);
          lab.configure({ routeMtus: [{ to, mtu }] });
          const room = size - header - 8;
          const spec: Partial<PacketSpec> = gso
            ? { payload: bytes(3 * room - 1), gsoSize: room, checksum: "partial" }
            : { payload: bytes(room) };
          const { outputs, drops } = lab.push([packet("udp", outer, spec), packet("udp", outer, spec)]);
          if (size > 1260 && size > mtu) {
            assert.deepEqual(drops, { PACKET_TOO_BIG: 2 });
            assert.equal(toldMtu(outputs[0]!), Math.max(1280, mtu - header + headerBefore));
            return;
          }
          assert.deepEqual(drops, {});
          const sent = outputs.flatMap(segmented).map((each) => decode(completed(each)));
          assert.deepEqual(new Set(sent.map(({ dontFragment }) => dontFragment)), new Set([size > 1260]));
          if (size > 1260) return;
          const first = sent[0]!.identification;
          assert.deepEqual(
            sent.map(({ identification }) => (identification - first) & 0xffff),
            sent.map((_, index) => index),
            "each its own identification",
          );
        });

test("all places of the table; one more is refused", async () => {
  const lab = await startLab();
  const routes = Array.from({ length: 256 }, (_, index) => ({ to: `203.0.${index}.0/24`, mtu: 1400 }));
  lab.configure({ routeMtus: [...routes.slice(1), { to: host6, mtu: 1300 }] });
  openFlow(lab, flows[0]!, "udp", port);
  const sent = fromPod(flows[0]!, "udp", port, { payload: bytes(1400) });
  assert.equal(toldMtu(lab.push([sent]).outputs[0]!), 1280);
  assert.throws(() => lab.configure({ routeMtus: [...routes, { to: far4, mtu: 1400 }] }), {
    code: "EG46_CONFIG_INVALID",
  });
});

// RFC 7915 §4.2, §5.2: no more than the next hops can take, whatever the router says.
for (const [side, told] of [
  [host6, 1380],
  [pod4, 1400],
  [far6, 1430],
  [pod6, 1430],
] as const)
  test(`Packet Too Big of 1450 from outside, a route of ${routeMtu} to ${side}: the Pod is told ${told}`, async () => {
    const flow = flows[0]!;
    const lab = await startLab();
    openFlow(lab, flow, "udp", port);
    const quote = only(lab, fromPod(flow, "udp", port, { payload: bytes(1400) })).slice(VNET_BYTES);
    lab.configure({ routeMtus: [{ to: side, mtu: routeMtu }] });
    const error = { source: far6, destination: flow.snat, type: 2, code: 0, word: 1450, body: quote };
    assert.equal(toldMtu(only(lab, buildError(error))), told);
  });
