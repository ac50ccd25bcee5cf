import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { linkHeaderFor, outputLinkType } from "../../../src/pcap/link.ts";
import { readCapture } from "../../../src/pcap/read.ts";
import { chunked, classicFile, collect, samplePackets } from "../../support/captures.ts";
import { be16, concat } from "../../support/packets.ts";

const hex = (digits: string) => Uint8Array.from(Buffer.from(digits.replaceAll(" ", ""), "hex"));
const macs = hex("02 00 00 00 00 01 02 00 00 00 00 02");
const types: Readonly<Record<4 | 6, Uint8Array>> = { 4: hex("0800"), 6: hex("86dd") };
const sll = hex("0004 0001 0006 020000000001 0000");
const sll2 = hex("0000 00000001 0001 04 06 020000000001 0000");

/** The link header before a packet of the version. */
const headers: Readonly<Record<string, readonly [linkType: number, (version: 4 | 6) => Uint8Array]>> = {
  ethernet: [1, (version) => concat(macs, types[version])],
  "ethernet, 802.1Q": [1, (version) => concat(macs, hex("8100 2005"), types[version])],
  "ethernet, 802.1ad + 802.1Q": [1, (version) => concat(macs, hex("88a8 0064 8100 0005"), types[version])],
  "ethernet, 0x9100 + 802.1Q": [1, (version) => concat(macs, hex("9100 0064 8100 0005"), types[version])],
  raw: [101, () => hex("")],
  "raw of BSD (12)": [12, () => hex("")],
  "raw of OpenBSD (14)": [14, () => hex("")],
  "cooked, SLL": [113, (version) => concat(sll, types[version])],
  "cooked, SLL, 802.1Q": [113, (version) => concat(sll, hex("8100 0005"), types[version])],
  "cooked, SLL2": [276, (version) => concat(types[version], sll2)],
  "cooked, SLL2, 802.1Q": [276, (version) => concat(hex("8100"), sll2, hex("0005"), types[version])],
  "null, little-endian host": [0, (version) => (version === 4 ? hex("02000000") : hex("1e000000"))],
  "null, big-endian host": [0, (version) => (version === 4 ? hex("00000002") : hex("0000000a"))],
  "null of FreeBSD": [0, (version) => (version === 4 ? hex("02000000") : hex("1c000000"))],
  "loop of OpenBSD": [108, (version) => (version === 4 ? hex("00000002") : hex("00000018"))],
};

async function readFrame(linkType: number, frame: Uint8Array) {
  const options = { magic: 0xa1b2c3d4, perSecond: 1_000_000n, linkType };
  const file = classicFile("little-endian", options, [{ ticks: 0n, bytes: frame }]);
  const packets = await collect(readCapture(chunked(file, 1 << 16)));
  assert.equal(packets.length, 1);
  return packets[0]!;
}

const bytes = (view: Uint8Array | undefined) => view && Buffer.from(view).toString("hex");

describe("link types: the IP packet inside, and the header for the other version", () => {
  for (const [name, [linkType, header]] of Object.entries(headers))
    for (const version of [4, 6] as const)
      test(`${name}, IPv${version}`, async () => {
        const ip = samplePackets[version];
        const packet = await readFrame(linkType, concat(header(version), ip));
        assert.equal(packet.linkType, linkType);
        assert.equal(bytes(packet.ip), bytes(ip));
        assert.equal(bytes(packet.linkHeader), bytes(header(version)));

        const other = version === 4 ? 6 : 4;
        const output = outputLinkType(linkType);
        const kept = [1, 113, 276].includes(linkType);
        assert.equal(output, kept ? linkType : 101);
        const written = linkHeaderFor(output, samplePackets[other], packet.linkHeader);
        assert.equal(bytes(written), kept ? bytes(header(other)) : "");
      });

  for (const [linkType, version] of [
    [228, 4],
    [229, 6],
  ] as const)
    test(`IPv${version} alone (${linkType})`, async () => {
      assert.equal(
        bytes((await readFrame(linkType, samplePackets[version])).ip),
        bytes(samplePackets[version]),
      );
      const other = samplePackets[version === 4 ? 6 : 4];
      assert.equal((await readFrame(linkType, other)).ip, undefined);
    });

  for (const [linkType, expected] of [
    [1, "000000000000000000000000 86dd"],
    [113, "0000000000000000000000000000 86dd"],
    [276, "86dd 000000000000000000000000000000000000"],
    [101, ""],
  ] as const)
    test(`${linkType}: a header of its own where there was none`, () => {
      assert.equal(bytes(linkHeaderFor(linkType, samplePackets[6])), expected.replaceAll(" ", ""));
    });
});

describe("link types: not IP", () => {
  const cases: Readonly<Record<string, readonly [linkType: number, frame: Uint8Array]>> = {
    "ethernet, ARP": [1, concat(macs, hex("0806"), new Uint8Array(28))],
    "ethernet, 802.3 length": [1, concat(macs, hex("0026"), samplePackets[4])],
    "ethernet, 802.1Q, ARP": [1, concat(macs, hex("8100 0005 0806"), new Uint8Array(28))],
    "ethernet, header cut": [1, macs],
    "ethernet, tag cut": [1, concat(macs, hex("8100 00"))],
    "ethernet, nothing but tags": [1, concat(macs, ...Array.from({ length: 50 }, () => hex("8100 8100")))],
    "ethernet, header alone": [1, concat(macs, hex("0800"))],
    "ethernet, EtherType of the other version": [1, concat(macs, hex("0800"), samplePackets[6])],
    "raw, no version": [101, hex("00112233")],
    "raw, empty": [101, hex("")],
    "cooked, ARP": [113, concat(sll, hex("0806"), new Uint8Array(28))],
    "cooked v2, cut": [276, hex("0800 0000 00000001")],
    "null, unknown family": [0, concat(hex("07000000"), samplePackets[4])],
    "null, cut": [0, hex("0200")],
    "a link type that is not known (802.11)": [105, concat(macs, hex("0800"), samplePackets[4])],
  };
  for (const [name, [linkType, frame]] of Object.entries(cases))
    test(name, async () => {
      const packet = await readFrame(linkType, frame);
      assert.equal(packet.ip, undefined);
      assert.equal(packet.linkHeader.length, 0);
      assert.equal(bytes(packet.frame), bytes(frame));
    });
});

describe("what follows the IP packet in the frame", () => {
  const patched = (packet: Uint8Array, at: number, value: number) =>
    concat(packet.subarray(0, at), be16(value), packet.subarray(at + 2));
  const trailer = new Uint8Array(9).fill(0xee);
  const trimmed = (packet: Uint8Array) => [concat(packet, trailer), packet] as const;
  const same = (packet: Uint8Array) => [packet, packet] as const;
  const noNextHeader = concat(hex("60000000 0000 3b 40"), new Uint8Array(32));
  const cases = {
    "IPv4: padding goes": trimmed(samplePackets[4]),
    "IPv6: padding goes": trimmed(samplePackets[6]),
    "IPv6, No Next Header: padding goes": trimmed(noNextHeader),
    "IPv4, length 0 (offload): all stays": same(patched(samplePackets[4], 2, 0)),
    "IPv4, length below the header's: all stays": same(patched(samplePackets[4], 2, 19)),
    "IPv4, longer than the frame: all stays": same(patched(samplePackets[4], 2, 9000)),
    "IPv4, cut in the header: all stays": same(samplePackets[4].subarray(0, 11)),
    "IPv6, length 0 (jumbogram, offload): all stays": same(patched(samplePackets[6], 4, 0)),
    "IPv6, longer than the frame: all stays": same(patched(samplePackets[6], 4, 9000)),
    "IPv6, cut in the header: all stays": same(samplePackets[6].subarray(0, 11)),
  };
  for (const [name, [frame, ip]] of Object.entries(cases))
    test(name, async () => assert.equal(bytes((await readFrame(101, frame)).ip), bytes(ip)));
});
