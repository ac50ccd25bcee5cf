/** Fragments in and out: RFC 7915 §4.1, §4.5, §5.1.1; RFC 6146 §3.4; RFC 6864, 6946, 8021. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Path } from "../../../src/engine/layout.gen.ts";
import { decode } from "../../support/decode.ts";
import { host6, nat4, poolEntry, snat4, snat6, startLab } from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  flows,
  fromPod,
  fromRemote,
  openFlow,
} from "../../support/flows.ts";
import {
  checkWhole,
  type Direction,
  directions,
  otherSender,
  passage,
  payload,
  sameFamily,
} from "../../support/fragment-scene.ts";
import { cut, readPiece, reassemble, writePiece } from "../../support/fragments.ts";
import {
  buildPacket,
  concat,
  extensionHeader,
  familyOf,
  type PacketSpec,
  type Protocol,
} from "../../support/packets.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

const protocols = ["tcp", "udp", "icmp"] as const;
/** ICMP in pieces can't change its version: ICMPv6 sums the length of the whole. */
const passable = directions.flatMap((direction) =>
  protocols
    .filter((protocol) => protocol !== "icmp" || sameFamily(direction))
    .map((protocol) => ({ direction, protocol })),
);
const id = 0xbeef;
const ends = [600, 1200];
const body = payload(1800);

describe("fragments: order of arrival", () => {
  /** A and B: pieces of two packets. */
  const orders: readonly (readonly [string, Kind, readonly string[]])[] = [
    ["in order", "alone", ["A0 A1 A2"]],
    ["last, later, first", "alone", ["A2 A1 A0"]],
    ["first, last, later", "alone", ["A0 A2 A1"]],
    ["later, first, last", "alone", ["A1 A0 A2"]],
    ["two packets interleaved", "two IDs", ["A0 B1 A2 B0 A1 B2"]],
    ["same ID from two senders", "two senders", ["A0 B1 B0 A1 B2 A2"]],
    ["same ID from two senders, later before first", "two senders", ["A1 B1 B0 A0 B2 A2"]],
    ["ID reuse by another flow", "ID reuse", ["A0 A1 A2", "B0 B1 B2"]],
  ];
  type Kind = "alone" | "two IDs" | "two senders" | "ID reuse";

  for (const { direction, protocol } of passable)
    for (const [name, kind, batches] of orders)
      test(`${direction.name}, ${protocol}: ${name}`, async () => {
        const lab = await startLab();
        const second = kind === "two senders" ? otherSender(lab, direction) : direction;
        const packets = {
          A: passage(lab, direction, protocol, 4000, { payload: body }),
          B: passage(lab, second, protocol, 4001, { payload: payload(1700, 9) }),
        };
        const idOf = { A: id, B: kind === "two IDs" ? id + 1 : id };
        for (const batch of batches) {
          const names = batch.split(" ").map((each) => [each[0] as "A" | "B", Number(each[1])] as const);
          const letters = [...new Set(names.map(([letter]) => letter))];
          const pieces = { A: piecesOf(packets.A, idOf.A), B: piecesOf(packets.B, idOf.B) };
          const { outputs, drops } = lab.push(names.map(([letter, index]) => pieces[letter][index]!));
          assert.deepEqual(drops, {});
          checkWhole(
            outputs,
            letters.map((letter) => packets[letter]),
          );
          checkFields(
            outputs,
            letters.flatMap((letter) => pieces[letter]),
          );
          if (kind !== "two senders") {
            const wanted = new Set(letters.map((letter) => idOf[letter]));
            assert.deepEqual(new Set(outputs.map((each) => readPiece(each).identification)), wanted);
          }
        }
      });

  function piecesOf({ sent }: { sent: PacketSpec }, identification: number): Uint8Array[] {
    return cut(buildPacket(sent), ends, identification);
  }

  /** Offsets, M, sizes; DF=0; a fragment header in IPv6, and one identification a packet. */
  function checkFields(outputs: readonly Uint8Array[], inputs: readonly Uint8Array[]): void {
    const fields = (packets: readonly Uint8Array[]) =>
      packets
        .map(readPiece)
        .map(({ offset, more, data }) => `${offset} ${more} ${data.length}`)
        .sort();
    assert.deepEqual(fields(outputs), fields(inputs));
    for (const piece of outputs.map(readPiece))
      assert.ok(piece.family === 6 ? piece.fragmentHeader : !piece.dontFragment);
    for (const output of outputs)
      assert.deepEqual(output.subarray(0, VNET_BYTES), new Uint8Array(VNET_BYTES));
  }
});

describe("identification", () => {
  const in64 = directions[1]!;
  test("6→4: the low 16 bits", async () => {
    const lab = await startLab();
    const { sent } = passage(lab, in64, "udp", 4000, { payload: body });
    const { outputs } = lab.push(cut(buildPacket(sent), ends, 0x12345678));
    assert.deepEqual(new Set(outputs.map((each) => readPiece(each).identification)), new Set([0x5678]));
  });

  for (const direction of directions.filter(({ outward }) => outward))
    test(`${direction.name}: two Pods with one ID and one remote end are told apart, copies keep theirs`, async () => {
      const lab = await startLab();
      const firsts = [direction, otherSender(lab, direction)].map((each) =>
        cut(buildPacket(passage(lab, each, "udp", 4000, { payload: body }).sent), ends, id),
      );
      const idsOf = (packets: readonly Uint8Array[]) =>
        lab.push(packets).outputs.map((each) => readPiece(each).identification);
      const [mine, others] = firsts.map((pieces) => idsOf(pieces.slice(0, 1))[0]!);
      assert.equal(mine, id);
      assert.notEqual(others, id);
      assert.deepEqual(idsOf(firsts[0]!), [mine, mine, mine]);
      assert.deepEqual(idsOf(firsts[1]!), [others, others, others]);
    });
});

for (const { direction: out46, path, mtu } of [
  { direction: directions[0]!, path: Path.OUT_46, mtu: { four: "mtuInner", six: "mtuOuter" } },
  { direction: directions[7]!, path: Path.IN_46, mtu: { four: "mtuOuter", six: "mtuInner" } },
] as const)
  describe(`${out46.name} without DF: larger than the lowest IPv6 MTU`, () => {
    const free = { dontFragment: false, identification: id };
    const cases: readonly (readonly [string, Protocol, number, Partial<PacketSpec>])[] = [
      ["1281 bytes", "udp", 1281 - 48, {}],
      ["1500 bytes", "udp", 1500 - 48, {}],
      ["9000 bytes", "udp", 9000 - 48, {}],
      ["64 KB", "udp", 65_507, {}],
      ["TCP", "tcp", 4000, {}],
      ["ICMP", "icmp", 4000, {}],
      ["UDP, partial checksum", "udp", 3001, { checksum: "partial" }],
      ["TCP, partial checksum", "tcp", 3001, { checksum: "partial" }],
      ["UDP without a checksum", "udp", 3001, { checksum: "none" }],
      ["IPv4 options", "udp", 3001, { options: Uint8Array.of(1, 1, 1, 0) }],
    ];
    for (const [name, protocol, length, details] of cases)
      for (const lowest of [1280, 1281, 1400])
        test(`${name}, lowest ${lowest}`, async () => {
          const lab = await startLab();
          lab.configure({ [mtu.four]: 65_535 });
          lab.limit("lowestMtu6", lowest);
          const one = passage(lab, out46, protocol, 4000, { ...free, payload: payload(length), ...details });
          const before = lab.counters().packets;
          const { outputs, drops } = lab.push([one.sent]);
          assert.deepEqual(drops, {});
          checkWhole(outputs, [{ ...one, expected: { ...one.expected, checksum: "complete" } }]);
          if (outputs.length > 1 || readPiece(outputs[0]!).fragmentHeader) checkCut(outputs, lowest);
          else assert.ok(length + 48 <= lowest);
          assert.equal(lab.counters().packets[path]! - before[path]!, 1, "counted once");
        });

    /** Each as large as may be, the last one may be smaller. */
    function checkCut(outputs: readonly Uint8Array[], lowest: number): void {
      const step = (lowest - 48) & ~7;
      const pieces = outputs.map(readPiece);
      for (const piece of pieces) {
        assert.ok(piece.size <= lowest);
        assert.equal(piece.identification, id);
      }
      for (const piece of pieces.slice(0, -1)) assert.equal(piece.data.length, step);
    }

    test("at the limit: whole, no fragment header (RFC 8021)", async () => {
      const lab = await startLab();
      const one = passage(lab, out46, "udp", 4000, { ...free, payload: payload(1280 - 48) });
      const { outputs } = lab.push([one.sent]);
      assert.equal(readPiece(outputs[0]!).fragmentHeader, false);
      checkWhole(outputs, [one]);
    });

    for (const order of ["in order", "reversed"])
      test(`a fragment is cut again, ${order}`, async () => {
        const lab = await startLab();
        const one = passage(lab, out46, "udp", 4000, { payload: payload(4000) });
        const pieces = cut(buildPacket(one.sent), [1480, 2960], id);
        const { outputs, drops } = lab.push(order === "reversed" ? pieces.reverse() : pieces);
        assert.deepEqual(drops, {});
        assert.equal(outputs.length, 5, "1232 + 248, 1232 + 248, 1048 bytes");
        for (const output of outputs) assert.ok(readPiece(output).size <= 1280);
        checkWhole(outputs, [one]);
      });

    test("never more than the MTU of the IPv6 side", async () => {
      const lab = await startLab();
      lab.configure({ [mtu.six]: 1320 });
      lab.limit("lowestMtu6", 9000);
      const one = passage(lab, out46, "udp", 4000, { ...free, payload: payload(1400) });
      const { outputs } = lab.push([one.sent]);
      checkWhole(outputs, [one]);
      for (const output of outputs) assert.ok(readPiece(output).size <= 1320);
    });

    test("a whole batch of 9000-byte packets", async () => {
      const lab = await startLab();
      lab.configure({ [mtu.four]: 9000 });
      const all = Array.from({ length: 64 }, (_, index) =>
        passage(lab, out46, "udp", 4000, {
          ...free,
          identification: index,
          payload: payload(8900, index * 3),
        }),
      );
      const { outputs, drops } = lab.push(all.map(({ sent }) => sent));
      assert.deepEqual(drops, {});
      checkWhole(outputs, all);
    });

    test("two senders with one ID", async () => {
      const lab = await startLab();
      const all = [out46, otherSender(lab, out46)].map((direction, index) =>
        passage(lab, direction, "udp", 4000, { ...free, payload: payload(1400, index * 3) }),
      );
      checkWhole(lab.push(all.map(({ sent }) => sent)).outputs, all);
    });

    test("with DF: ICMPv4 3/4, MTU − 20", async () => {
      const lab = await startLab();
      const one = passage(lab, out46, "udp", 4000, { payload: payload(1480) });
      const { outputs, drops } = lab.push([one.sent]);
      assert.deepEqual(drops, { PACKET_TOO_BIG: 1 });
      const { icmp } = decode(outputs[0]!);
      assert.deepEqual([icmp?.type, icmp?.code, icmp!.body[2]! * 256 + icmp!.body[3]!], [3, 4, 1480]);
    });

    test("a first fragment with DF: ICMPv4 3/4; the others follow it into nothing", async () => {
      const lab = await startLab();
      const one = passage(lab, out46, "udp", 4000, { payload: payload(3000) });
      const pieces = cut(buildPacket(one.sent), [1480], id).map((each) =>
        writePiece({ ...readPiece(each), dontFragment: true }),
      );
      const { outputs, drops } = lab.push(pieces);
      assert.deepEqual(drops, { PACKET_TOO_BIG: 2 });
      assert.deepEqual([outputs.length, decode(outputs[0]!).icmp?.type], [1, 3]);
    });
  });

for (const { direction: in64, four } of [
  { direction: directions[1]!, four: "mtuInner" },
  { direction: directions[6]!, four: "mtuOuter" },
] as const)
  describe(`${in64.name}: what IPv4 makes of it`, () => {
    test("fragments larger than the IPv4 link go on: DF=0, the kernel fragments them", async () => {
      const lab = await startLab();
      lab.configure({ [four]: 1280 });
      const one = passage(lab, in64, "udp", 4000, { payload: payload(2800) });
      const { outputs } = lab.push(cut(buildPacket(one.sent), [1448], id));
      checkWhole(outputs, [one]);
    });

    test("up to 1260 bytes: DF=0 also where the inner link is smaller", async () => {
      const lab = await startLab();
      lab.configure({ [four]: 600 });
      const one = passage(lab, in64, "udp", 4000, { payload: payload(1232) });
      const { outputs } = lab.push([one.sent]);
      assert.equal(readPiece(outputs[0]!).dontFragment, false);
      checkWhole(outputs, [one]);
    });

    test("above: Packet Too Big never says less than 1280", async () => {
      const lab = await startLab();
      lab.configure({ [four]: 600 });
      const one = passage(lab, in64, "udp", 4000, { payload: payload(1233) });
      const { outputs, drops } = lab.push([one.sent]);
      assert.deepEqual(drops, { PACKET_TOO_BIG: 1 });
      const { icmp } = decode(outputs[0]!);
      assert.deepEqual([icmp?.type, icmp!.body[2]! * 256 + icmp!.body[3]!], [2, 1280]);
    });

    test("what would end beyond IPv4's 65,535 bytes is too big", async () => {
      const lab = await startLab();
      const { sent } = passage(lab, in64, "udp", 4000, { payload: body });
      const [first] = cut(buildPacket(sent), ends, id);
      const last = writePiece({ ...readPiece(first!), offset: 65_512, more: false, data: payload(8) });
      assert.deepEqual(lab.push([first!, last]).drops, { PACKET_TOO_BIG: 1 });
    });
  });

describe("atomic fragments (RFC 6946)", () => {
  const fragment = (next: number) => Uint8Array.of(next, 0, 0, 0, 0x12, 0x34, 0x56, 0x78);
  const cases: readonly (readonly [string, Partial<PacketSpec>])[] = [
    ["alone", { options: fragment(17), firstExtension: 44 }],
    [
      "before destination options",
      { options: concat(fragment(60), extensionHeader(17, 1)), firstExtension: 44 },
    ],
    ["behind them", { options: concat(extensionHeader(44, 1), fragment(17)), firstExtension: 60 }],
  ];
  for (const [name, details, length, direction] of cases.flatMap(([name, details]) =>
    [100, 1400].flatMap((length) => [1, 6].map((at) => [name, details, length, directions[at]!] as const)),
  ))
    test(`${direction.name}, ${length} bytes, ${name}: DF=0, its own identification`, async () => {
      const lab = await startLab();
      const one = passage(lab, direction, "udp", 4000, { ...details, payload: payload(length) });
      const { outputs } = lab.push([one.sent]);
      const { identification, dontFragment, offset, more } = readPiece(outputs[0]!);
      assert.deepEqual([identification, dontFragment, offset, more], [0x5678, false, 0, false]);
      checkWhole(outputs, [one]);
    });

  test("two fragment headers are none of IPv6", async () => {
    const lab = await startLab();
    const options = concat(fragment(44), fragment(17));
    assert.deepEqual(lab.push([fromPod(flow66, "udp", 4000, { options, firstExtension: 44 })]).drops, {
      IPV6_EXTENSION_INVALID: 1,
    });
  });

  test("6→6: they stay as they are", async () => {
    const lab = await startLab();
    const outer = openFlow(lab, flow66, "udp", 4000);
    const sent = fromPod(flow66, "udp", 4000, { options: fragment(17), firstExtension: 44 });
    const wanted = buildPacket({ ...sent, source: snat6, sourcePort: outer });
    assert.deepEqual(lab.push([sent]).outputs, [wanted]);
  });

  test("fragments whose extension headers are in the pieces are refused (RFC 7915 §5.1.1)", async () => {
    const lab = await startLab();
    const { sent } = passage(lab, directions[1]!, "udp", 4000, { payload: body });
    const whole = readPiece(buildPacket(sent));
    const data = concat(extensionHeader(17, 1), whole.data);
    const packet = writePiece({ ...whole, protocol: 60, data });
    assert.deepEqual(lab.push(cut(packet, ends, id)).drops, { PROTOCOL_UNSUPPORTED: 3 });
  });
});

describe("a first fragment that is refused takes the others with it", () => {
  interface Row {
    readonly reason: string;
    readonly name: string;
    readonly packet: (lab: Awaited<ReturnType<typeof startLab>>) => PacketSpec;
  }
  const long = { payload: body };
  const refused: readonly Row[] = [
    {
      reason: "UDP_CHECKSUM_MISSING",
      name: "4→6",
      packet: () => fromPod(flow46, "udp", 4000, { ...long, checksum: "none" }),
    },
    {
      reason: "UDP_CHECKSUM_MISSING",
      name: flow64.in,
      packet: (lab) =>
        fromRemote(flow64, "udp", openFlow(lab, flow64, "udp", 4000), { ...long, checksum: "none" }),
    },
    { reason: "FRAGMENT_UNSUPPORTED", name: "ICMP 4→6", packet: () => fromPod(flow46, "icmp", 4000, long) },
    {
      reason: "FRAGMENT_UNSUPPORTED",
      name: "ICMP 6→4",
      packet: (lab) => fromRemote(flow46, "icmp", openFlow(lab, flow46, "icmp", 4000), long),
    },
    {
      reason: "FRAGMENT_UNSUPPORTED",
      name: "DNS question",
      packet(lab) {
        lab.configure({ dns: true });
        return fromPod(flow44, "udp", 4000, { ...long, destinationPort: 53 });
      },
    },
    ...flows.map((flow) => ({
      reason: "INBOUND_NO_SESSION",
      name: flow.in,
      packet: () => fromRemote(flow, "udp", 4000, long),
    })),
    {
      reason: "SNAT_ADDRESS_MISSING",
      name: "4→4",
      packet(lab) {
        lab.configure({ pool: [poolEntry(snat6)] });
        return fromPod(flow44, "udp", 4000, long);
      },
    },
    { reason: "TCP_NO_SESSION", name: "4→4", packet: () => fromPod(flow44, "tcp", 4000, long) },
    {
      reason: "SOURCE_NOT_INTERNAL",
      name: "4→4",
      packet: () => fromPod({ ...flow44, pod: "10.2.0.1" }, "udp", 4000, long),
    },
  ];
  for (const { reason, name, packet } of refused)
    for (const order of ["in order", "reversed"])
      test(`${reason}: ${name}, ${order}`, async () => {
        const lab = await startLab();
        const pieces = cut(buildPacket(packet(lab)), ends, id);
        const { outputs, drops } = lab.push(order === "reversed" ? pieces.reverse() : pieces);
        assert.deepEqual([outputs.length, drops], [0, { [reason]: 3 }]);
        assert.deepEqual(lab.sweep(2001).drops, {}, "none is held");
      });

  test("a broken copy of a first fragment that has passed changes nothing", async () => {
    const lab = await startLab();
    const one = passage(lab, directions[2]!, "tcp", 4000, { payload: body });
    const pieces = cut(buildPacket(one.sent), ends, id);
    const broken = writePiece({ ...readPiece(pieces[0]!), data: payload(16) });
    const { outputs, drops } = lab.push([pieces[0]!, broken, pieces[1]!, pieces[2]!]);
    assert.deepEqual(drops, { TCP_HEADER_INVALID: 1 });
    checkWhole(outputs, [one]);
  });
});

describe("held fragments", () => {
  const later = (flow: Flow, identification: number) =>
    cut(buildPacket(fromPod(flow, "udp", 4000, { payload: body })), ends, identification)[1]!;

  test("2 s after the first one nobody follows it", async () => {
    const lab = await startLab();
    const { sent } = passage(lab, directions[2]!, "udp", 4000, { payload: body });
    const [first, second, third] = cut(buildPacket(sent), ends, id);
    assert.equal(lab.push([first!], 0).outputs.length, 1);
    assert.equal(lab.push([second!], 2000).outputs.length, 1);
    assert.deepEqual(lab.push([third!], 2001), { outputs: [], drops: {}, questions: [], asked: [] });
    assert.deepEqual(lab.sweep(4002).drops, { FRAGMENT_TIMEOUT: 1 });
  });

  test("they wait 2 s, over the wrap of the clock", async () => {
    const lab = await startLab();
    const start = 2 ** 32 - 1000;
    lab.push([later(flow44, id)], start);
    assert.deepEqual(lab.sweep(start + 2000).drops, {});
    assert.deepEqual(lab.sweep(start + 2001).drops, { FRAGMENT_TIMEOUT: 1 });
  });

  test("64 at a time, the oldest makes room; no slot is lost", async () => {
    const lab = await startLab();
    for (let round = 0; round < 20; round++) {
      const flood = Array.from({ length: 100 }, (_, index) => later(flow44, round * 100 + index));
      assert.deepEqual(lab.push(flood, round * 3000).drops, { FRAGMENT_QUEUE_FULL: 36 });
      assert.deepEqual(lab.sweep(round * 3000 + 2001).drops, { FRAGMENT_TIMEOUT: 64 });
    }
    const all = Array.from({ length: 64 }, (_, index) =>
      passage(lab, directions[0]!, "udp", 4000, { payload: payload(50, index) }, 60_000),
    );
    checkWhole(
      lab.push(
        all.map(({ sent }) => sent),
        60_000,
      ).outputs,
      all,
    );
  });

  test("a packet out of order gets through a flood that never ends", async () => {
    const lab = await startLab();
    const one = passage(lab, directions[3]!, "udp", 4000, { payload: body });
    const [first, second, third] = cut(buildPacket(one.sent), ends, id);
    lab.push(Array.from({ length: 64 }, (_, index) => later(flow44, index)));
    const { outputs } = lab.push([third!, later(flow44, 100), second!, later(flow44, 101), first!]);
    checkWhole(outputs, [one]);
  });

  for (const [name, flow] of [
    ["IPv4", { ...flow44, pod: "10.2.0.1" }],
    ["IPv6", { ...flow66, pod: "fd00:2::1" }],
  ] as const)
    test(`${name}: nobody's fragments aren't held`, async () => {
      const lab = await startLab();
      assert.deepEqual(lab.push([later(flow, id)]).drops, { SOURCE_NOT_INTERNAL: 1 });
    });
});

test("mapping unknown: the first fragment waits for it, the others for the first", async () => {
  const lab = await startLab();
  const seen = "10.244.50.99";
  const sent = fromPod({ ...flow46, seen }, "udp", 4000, { payload: body });
  const [first, second, third] = cut(buildPacket(sent), ends, id);
  const pushed = lab.push([second!, first!, third!]);
  assert.deepEqual([pushed.outputs, pushed.drops, pushed.asked], [[], {}, [seen]]);
  const { outputs, drops } = lab.install(seen, host6);
  assert.deepEqual(drops, {});
  const [whole] = reassemble(outputs);
  const { source, destination, payload: got } = decode(whole!);
  assert.deepEqual([source, destination, got], [snat6, host6, body]);
});

describe("automap", () => {
  const alias: Readonly<Record<string, string>> = { [snat4]: "192.168.46.9", [snat6]: "fd46::9" };
  for (const flow of flows)
    for (const order of ["in order", "reversed"])
      for (const whose of ["the host's own", "a session's"])
        test(`${flow.in}, ${order}: ${whose}`, async () => {
          const lab = await startLab();
          lab.configure({
            mtuInner: 1280,
            pool: [snat4, snat6].map((address) => poolEntry(address, { inbound: alias[address]! })),
          });
          const outer = openFlow(lab, flow, "udp", 4000);
          const arriving = { ...flow, snat: alias[flow.snat]! };
          const port = whose === "a session's" ? outer : outer ^ 1;
          const sent = fromRemote(arriving, "udp", port, { payload: payload(2400) });
          const pieces = cut(buildPacket(sent), [1400], id);
          const { outputs, drops } = lab.push(order === "reversed" ? pieces.reverse() : pieces);
          if (whose === "a session's" && flow === flow66) {
            assert.deepEqual(drops, { PACKET_TOO_BIG: 2 }, "IPv6 routers don't fragment");
            return;
          }
          assert.deepEqual(drops, {});
          const [whole] = reassemble(outputs);
          const { source, destination, destinationPort, payload: got } = decode(whole!);
          const host = [flow.remote, flow.snat, port];
          const wanted = whose === "a session's" ? [flow.seen, flow.pod, 4000] : host;
          assert.deepEqual([source, destination, destinationPort], wanted);
          assert.deepEqual(got, sent.payload);
          const handedBack = lab.counters().packets[Path.HANDED_BACK];
          assert.equal(handedBack, whose === "a session's" ? 0 : 2);
        });
});

for (const order of ["in order", "reversed"])
  test(`hairpin, ${order}: from Pod to Pod by their outer addresses`, async () => {
    const lab = await startLab();
    const other = { ...flow44, pod: "10.1.2.4" };
    const ports = [openFlow(lab, flow44, "udp", 4000), openFlow(lab, other, "udp", 4000)];
    const to = (flow: Flow, port: number, details = {}) =>
      fromPod({ ...flow, seen: snat4 }, "udp", 4000, { destinationPort: port, ...details });
    // The other Pod must have sent first: filtering is by remote end.
    lab.push([to(other, ports[0]!)]);
    const pieces = cut(buildPacket(to(flow44, ports[1]!, { payload: body })), ends, id);
    const { outputs, drops } = lab.push(order === "reversed" ? pieces.reverse() : pieces);
    assert.deepEqual(drops, {});
    const [whole] = reassemble(outputs);
    const { source, sourcePort, destination, destinationPort, payload: got } = decode(whole!);
    assert.deepEqual([source, sourcePort, destination, destinationPort], [snat4, ports[0], other.pod, 4000]);
    assert.deepEqual(got, body);
  });

test("one ID to one host, by way of NAT64 and plainly: told apart", async () => {
  const lab = await startLab();
  const all = [flow44, flow64].map((flow) =>
    passage(lab, { name: flow.out, flow, outward: true }, "udp", 4000, {
      payload: payload(1700, flow === flow44 ? 1 : 9),
    }),
  );
  const pieces = all.map(({ sent }) => cut(buildPacket(sent), ends, id));
  const { outputs, drops } = lab.push([0, 1, 2].flatMap((at) => pieces.map((each) => each[at]!)));
  assert.deepEqual(drops, {});
  checkWhole(outputs, all);
});

test("counters: each fragment is a packet of its path", async () => {
  for (const direction of directions) {
    const lab = await startLab();
    const { sent } = passage(lab, direction, "udp", 4000, { payload: body });
    const before = lab.counters().packets;
    lab.push(cut(buildPacket(sent), ends, id));
    const after = lab.counters().packets;
    const grown = after.map((count, path) => count - before[path]!).filter((count) => count !== 0);
    assert.deepEqual(grown, [3], direction.name);
    assert.equal(familyOf(sent), readPiece(buildPacket(sent)).family);
  }
});

test("a whole packet with the addresses of one in pieces goes its own way", async () => {
  const lab = await startLab();
  const direction: Direction = directions[0]!;
  const one = passage(lab, direction, "udp", 4000, { payload: body });
  const whole = passage(lab, direction, "udp", 4001, { payload: payload(30, 5), identification: id });
  const [first, second, third] = cut(buildPacket(one.sent), ends, id);
  checkWhole(lab.push([first!, whole.sent, second!, third!]).outputs, [one, whole]);
  assert.equal(direction.flow.seen, nat4);
});
