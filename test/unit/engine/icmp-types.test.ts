/** ICMP errors between IP versions: each type, code, pointer and MTU of RFC 7915 §4.2 and §5.2. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { type Lab, labSettings } from "../../support/engine.ts";
import {
  relay,
  type Scene,
  setScene,
  side46,
  side64,
  sides,
  startRelayLab,
} from "../../support/icmp-scene.ts";
import { be16, concat, withBytes } from "../../support/packets.ts";
import { VNET_BYTES } from "../../support/vnet.ts";

let lab: Lab;
let scene46: Scene;
let scene64: Scene;
let nat64In: Scene;
let nat64Out: Scene;
before(async () => {
  lab = await startRelayLab(false);
  scene46 = setScene(lab, side46, "udp", 20001);
  scene64 = setScene(lab, side64, "udp", 20002);
  nat64In = setScene(lab, sides[6]!, "udp", 20003);
  nat64Out = setScene(lab, sides[7]!, "udp", 20004);
});

type Kind = readonly [type: number, code: number, pointerOrMtu?: number];
const range = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);
const dropped = undefined;

type Row = readonly [from: Kind, to: Kind | undefined];
const each = (type: number, codes: readonly number[], to: Kind | undefined): Row[] =>
  codes.map((code) => [[type, code], to]);
const same = (type: number, codes: readonly number[], to: number): Row[] =>
  codes.map((code) => [
    [type, code],
    [to, code],
  ]);
const one = (from: Kind, to: Kind | undefined): Row => [from, to];
/** `targets` by ranges of pointers; those of `tried` that are in none are dropped. */
const pointers = (
  from: readonly [type: number, code: number],
  to: readonly [type: number, code: number],
  tried: readonly number[],
  targets: readonly (readonly [first: number, last: number, target: number])[],
): Row[] =>
  tried.map((pointer) => {
    const target = targets.find(([first, last]) => pointer >= first && pointer <= last);
    return one([...from, pointer], target === undefined ? dropped : [...to, target[2]]);
  });

/** ICMPv4 → ICMPv6. */
const types46: readonly Row[] = [
  ...each(3, [0, 1, 5, 6, 7, 8, 11, 12], [1, 0]),
  one([3, 2], [4, 1, 6]),
  one([3, 3], [1, 4]),
  one([3, 4, 1400], [2, 0, 1420]),
  ...each(3, [9, 10, 13, 15], [1, 1]),
  ...each(3, [14, 16, 17, 255], dropped),
  ...same(11, [0, 1, 2, 255], 3),
  ...[0, 2].flatMap((code) =>
    pointers(
      [12, code],
      [4, 0],
      [...range(0, 21), 255],
      [
        [0, 0, 0],
        [1, 1, 1],
        [2, 3, 4],
        [8, 8, 7],
        [9, 9, 6],
        [12, 15, 8],
        [16, 19, 24],
      ],
    ),
  ),
  ...each(12, [1, 3, 255], dropped),
  // Source quench, redirect, router advertisement and solicitation, timestamp, address mask, unassigned ones.
  ...[1, 2, 4, 5, 6, 7, 9, 10, 13, 14, 15, 16, 17, 18, 30, 40, 255].flatMap((type) =>
    each(type, [0], dropped),
  ),
];

/** ICMPv6 → ICMPv4. */
const types64: readonly Row[] = [
  ...each(1, [0, 2, 3], [3, 1]),
  one([1, 1], [3, 10]),
  one([1, 4], [3, 3]),
  ...each(1, [5, 6, 7, 255], dropped),
  one([2, 0, 1400], [3, 4, 1380]),
  // RFC 4443 §3.2: receivers ignore the code.
  one([2, 9, 1400], [3, 4, 1380]),
  ...same(3, [0, 1, 2, 255], 11),
  ...pointers(
    [4, 0],
    [12, 0],
    [...range(0, 41), 255, 256, 0x01000000, 0xffffffff],
    [
      [0, 0, 0],
      [1, 1, 1],
      [4, 5, 2],
      [6, 6, 9],
      [7, 7, 8],
      [8, 23, 12],
      [24, 39, 16],
    ],
  ),
  ...[0, 6, 40, 0xffffffff].map((pointer) => one([4, 1, pointer], [3, 2])),
  ...each(4, [2, 3, 255], dropped),
  // Unassigned errors, MLD, neighbour discovery, redirect, node information.
  ...[0, 5, 100, 101, 127, 130, 131, 132, 133, 134, 135, 136, 137, 139, 143, 200, 255].flatMap((type) =>
    each(type, [0], dropped),
  ),
];

/** The word behind the checksum: in ICMPv4 a pointer is its first byte. */
const wordOf = (family: 4 | 6, [type, , value = 0]: Kind) =>
  family === 4 && type === 12 ? value * 2 ** 24 : value;
const nameOf = ([type, code, value]: Kind) => `${type}/${code}${value === undefined ? "" : ` ${value}`}`;

for (const [title, from, to, rows, scene] of [
  ["ICMPv4 → ICMPv6", 4, 6, types46, () => scene46],
  ["ICMPv6 → ICMPv4", 6, 4, types64, () => scene64],
  ["ICMPv4 → ICMPv6, NAT64", 4, 6, types46, () => nat64In],
  ["ICMPv6 → ICMPv4, NAT64", 6, 4, types64, () => nat64Out],
] as const)
  describe(title, () => {
    for (const [kind, wanted] of rows)
      test(`${nameOf(kind)} → ${wanted === undefined ? "dropped" : nameOf(wanted)}`, () => {
        const [type, code] = kind;
        const error = scene().error({ type, code, word: wordOf(from, kind) });
        if (wanted === undefined) {
          const { outputs, drops } = lab.push([error]);
          return assert.deepEqual([outputs.length, drops], [0, { ICMP_TYPE_UNSUPPORTED: 1 }]);
        }
        const result = relay(lab, error);
        assert.deepEqual(
          [result.type, result.code, result.word],
          [...wanted.slice(0, 2), wordOf(to, wanted)],
        );
      });
  });

/** What the link MTUs and the packet that was too big make of the advertised MTU; the IPv4 side is the Pod's, but for NAT64. */
interface MtuRow {
  readonly advertised: number;
  readonly mtu4: number;
  readonly mtu6: number;
  readonly expected: number;
  /** Total length of the quoted packet. */
  readonly total?: number;
}
const row = (advertised: number, mtu4: number, mtu6: number, expected: number, total?: number): MtuRow => ({
  advertised,
  mtu4,
  mtu6,
  expected,
  ...(total === undefined ? {} : { total }),
});
const large = 65_535;
const mtus46: readonly MtuRow[] = [
  row(1400, 1500, 1500, 1420),
  row(1480, 1500, 1500, 1500),
  row(1500, 1500, 1500, 1500),
  row(1400, 9000, 1500, 1420),
  row(9000, 9000, 1500, 1500),
  row(9000, 1400, 9000, 1420),
  row(9000, 1500, 1280, 1280),
  row(1500, 1280, 9000, 1300),
  row(1261, 1500, 1500, 1281),
  row(1260, 1500, 1500, 1280),
  row(1259, 1500, 1500, 1280),
  row(68, 1500, 1500, 1280),
  row(1, 1500, 1500, 1280),
  row(large, large, large, large),
  // RFC 1191 §7.1, below the length of the packet that was too big.
  ...(
    [
      [65_535, 32_000],
      [32_001, 32_000],
      [32_000, 17_914],
      [17_915, 17_914],
      [17_914, 8166],
      [8167, 8166],
      [8166, 4352],
      [4353, 4352],
      [4352, 2002],
      [2003, 2002],
      [2002, 1492],
      [1493, 1492],
    ] as const
  ).map(([total, plateau]) => row(0, large, large, plateau + 20, total)),
  ...[1492, 1007, 1006, 509, 508, 297, 296, 69, 68, 49].map((total) => row(0, large, large, 1280, total)),
  row(0, 1500, 1500, 1500, 4353),
  row(0, 1500, 1400, 1400, 1500),
];
const mtus64: readonly MtuRow[] = [
  row(1500, 1500, 1500, 1480),
  row(1280, 1500, 1500, 1260),
  row(1400, 1500, 1500, 1380),
  row(9000, 1400, 1500, 1400),
  row(9000, 9000, 1500, 1480),
  row(9000, 1500, 9000, 1500),
  row(1420, 1400, 1500, 1400),
  row(1419, 1400, 1500, 1399),
  row(70_000, large, large, 65_515),
  row(0xffffffff, 1500, 1500, 1480),
  row(20, 1500, 1500, 0),
  row(0, 1500, 1500, 0),
];

for (const [title, type, code, rows, scene, answer, fourInside] of [
  ["Fragmentation Needed → Packet Too Big", 3, 4, mtus46, () => scene46, [2, 0], true],
  ["Packet Too Big → Fragmentation Needed", 2, 0, mtus64, () => scene64, [3, 4], true],
  ["Fragmentation Needed → Packet Too Big, NAT64", 3, 4, mtus46, () => nat64In, [2, 0], false],
  ["Packet Too Big → Fragmentation Needed, NAT64", 2, 0, mtus64, () => nat64Out, [3, 4], false],
] as const)
  describe(`${title}: MTU`, () => {
    for (const { advertised, mtu4, mtu6, expected, total } of rows)
      test(`${advertised}${total === undefined ? "" : `, packet of ${total}`}, links ${mtu4} and ${mtu6} → ${expected}`, () => {
        lab.configure(fourInside ? { mtuInner: mtu4, mtuOuter: mtu6 } : { mtuInner: mtu6, mtuOuter: mtu4 });
        const body = total === undefined ? scene().quote : withTotal(scene().quote, total);
        const result = relay(lab, scene().error({ type, code, word: advertised, body }));
        lab.configure({ mtuInner: labSettings.mtuInner, mtuOuter: labSettings.mtuOuter });
        assert.deepEqual([result.type, result.code, result.word], [...answer, expected]);
      });
  });

/** An IPv4 quote of a longer packet. */
function withTotal(quote: Uint8Array, total: number): Uint8Array {
  const [high = 0, low = 0] = be16(total);
  const packet = concat(new Uint8Array(VNET_BYTES), quote);
  return withBytes(packet, { 2: high, 3: low }).subarray(VNET_BYTES);
}

describe("within an IP version: as it came", () => {
  const kinds = {
    4: [...range(0, 15).map((code) => [3, code]), [11, 0], [11, 1], [12, 0], [12, 1], [12, 2], [12, 9]],
    6: [...range(0, 7).map((code) => [1, code]), [2, 0], [3, 0], [3, 1], [4, 0], [4, 1], [4, 2]],
  } as const;
  let port = 20_100;
  for (const side of sides.filter(({ from, to }) => from === to))
    test(side.name, () => {
      const scene = setScene(lab, side, "udp", port++);
      for (const [type = 0, code = 0] of kinds[side.from]) {
        // ICMPv4: pointer, no length attribute, MTU. ICMPv6: but for the length attribute, anything.
        const word = side.from === 4 ? 0x0c0004d2 : type === 1 || type === 3 ? 0x00123456 : 0xfe123456;
        const result = relay(lab, scene.error({ type, code, word }));
        assert.deepEqual([result.type, result.code, result.word], [type, code, word]);
      }
    });
});
