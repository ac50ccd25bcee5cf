/** Translation without state, packet by packet. Every byte of it also goes against tayga (test/differential). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTranslator, type TranslatorOptions } from "../../../src/translate/translator.ts";
import { ipPacket } from "../../support/captures.ts";
import { type Fields, fieldsOf } from "../../support/packet-fields.ts";
import {
  addressBytes,
  be16,
  be32,
  concat,
  extensionHeader,
  get16,
  onesSum,
  put16,
} from "../../support/packets.ts";

const pool6 = "2001:db8:64::/96";
const options: TranslatorOptions = {
  eams: [{ v4: "10.0.0.0/24", v6: "2001:db8:1::/120" }],
  pool6,
  pool6791v4: "192.0.2.1",
};
const at4 = { source: "10.0.0.5", destination: "198.51.100.7" };
const at6 = { source: "2001:db8:64::c633:6407", destination: "2001:db8:1::5" };
const udp = { protocol: "udp", sourcePort: 4000, destinationPort: 53 } as const;

async function translate(packet: Uint8Array, change: Partial<TranslatorOptions> = {}) {
  const { outputs, drop } = (await createTranslator({ ...options, ...change })).translate(packet);
  return { outputs, fields: outputs.map(fieldsOf), drop };
}

const ends = ({ source, destination }: Fields = {}) => [source, destination];

// RFC 6052 §2.4, table 1; both directions.
describe("RFC 6052: prefixes of each length", () => {
  for (const [prefix, expected] of [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::c000:221"],
  ] as const)
    test(prefix, async () => {
      const four = { source: "192.0.2.33", destination: "192.0.2.33" };
      const change = { eams: [], pool6: prefix };
      const { outputs, fields } = await translate(ipPacket({ ...four, ...udp }), change);
      assert.deepEqual(ends(fields[0]), [expected, expected]);
      const back = await translate(outputs[0]!, change);
      assert.deepEqual(ends(back.fields[0]), [four.source, four.destination]);
    });

  for (const [name, source] of [
    ["bits 64 to 71 not zero", "2001:db8:122:344:1c0:2:2100:0"],
    ["bits behind the address not zero", "2001:db8:122:344:c0:2:2100:1"],
  ] as const)
    test(`${name}: not translated`, async () => {
      const packet = ipPacket({ source, destination: "2001:db8:122:344:c0:2:2200:0", ...udp });
      assert.deepEqual(
        (await translate(packet, { eams: [], pool6: "2001:db8:122:344::/64" })).drop,
        "SOURCE_UNMAPPED",
      );
    });
});

/** RFC 7757 §3.2, §4.1 and appendix: its example table. */
const example = [
  { v4: "192.0.2.1", v6: "2001:db8:aaaa::" },
  { v4: "192.0.2.2", v6: "2001:db8:bbbb::b" },
  { v4: "192.0.2.16/28", v6: "2001:db8:cccc::/124" },
  { v4: "192.0.2.128/26", v6: "2001:db8:dddd::/64" },
  { v4: "192.0.2.192/29", v6: "2001:db8:eeee:8::/62" },
  { v4: "192.0.2.224/31", v6: "64:ff9b::/127" },
];
describe("RFC 7757: explicit address mappings", () => {
  for (const [four, six] of [
    ["192.0.2.1", "2001:db8:aaaa::"],
    ["192.0.2.2", "2001:db8:bbbb::b"],
    ["192.0.2.16", "2001:db8:cccc::"],
    ["192.0.2.24", "2001:db8:cccc::8"],
    ["192.0.2.31", "2001:db8:cccc::f"],
    ["192.0.2.128", "2001:db8:dddd::"],
    ["192.0.2.152", "2001:db8:dddd:0:6000::"],
    ["192.0.2.183", "2001:db8:dddd:0:dc00::"],
    ["192.0.2.191", "2001:db8:dddd:0:fc00::"],
    ["192.0.2.193", "2001:db8:eeee:8:8000::"],
    ["192.0.2.199", "2001:db8:eeee:b:8000::"],
    ["192.0.2.224", "64:ff9b::"],
    ["192.0.2.225", "64:ff9b::1"],
  ] as const)
    test(`${four} ↔ ${six}`, async () => {
      const change = { eams: example };
      const there = await translate(ipPacket({ source: four, destination: "198.51.100.7", ...udp }), change);
      assert.deepEqual(ends(there.fields[0]), [six, "2001:db8:64::c633:6407"]);
      const back = await translate(
        ipPacket({ source: six, destination: "2001:db8:64::c633:6407", ...udp }),
        change,
      );
      assert.deepEqual(ends(back.fields[0]), [four, "198.51.100.7"]);
    });

  test("bits behind the suffix are ignored", async () => {
    const packet = ipPacket({
      source: "2001:db8:dddd:0:fc00:1:2:3",
      destination: "2001:db8:64::c633:6407",
      ...udp,
    });
    assert.equal((await translate(packet, { eams: example })).fields[0]?.source, "192.0.2.191");
  });

  test("the longest prefix holds, in each direction by its own", async () => {
    const eams = [
      { v4: "10.0.0.0/8", v6: "2001:db8:a::/104" },
      { v4: "10.1.0.0/16", v6: "2001:db8:b::/112" },
      { v4: "10.1.2.3", v6: "2001:db8:a::9" },
    ];
    for (const [four, six] of [
      ["10.2.0.1", "2001:db8:a::2:1"],
      ["10.1.0.1", "2001:db8:b::1"],
      ["10.1.2.3", "2001:db8:a::9"],
    ] as const)
      assert.equal(
        (await translate(ipPacket({ source: four, destination: "198.51.100.7", ...udp }), { eams })).fields[0]
          ?.source,
        six,
      );
    const back = ipPacket({ source: "2001:db8:a::9", destination: "2001:db8:64::c633:6407", ...udp });
    assert.equal((await translate(back, { eams })).fields[0]?.source, "10.1.2.3");
  });
});

describe("addresses that aren't translated", () => {
  for (const [name, addresses, drop] of [
    ["IPv6 source without a mapping", { ...at6, source: "2001:db8:9::1" }, "SOURCE_UNMAPPED"],
    ["IPv6 destination without a mapping", { ...at6, destination: "2001:db8:9::1" }, "DESTINATION_UNMAPPED"],
    ["IPv4 loopback as a source", { ...at4, source: "127.0.0.1" }, "SOURCE_UNMAPPED"],
    ["IPv4 multicast", { ...at4, destination: "224.0.0.1" }, "DESTINATION_NOT_FORWARDABLE"],
    ["IPv6 multicast", { ...at6, destination: "ff02::1" }, "DESTINATION_NOT_FORWARDABLE"],
    [
      "IPv4 multicast inside the prefix",
      { ...at6, destination: "2001:db8:64::e000:1" },
      "DESTINATION_NOT_FORWARDABLE",
    ],
    ["IPv4 loopback inside the prefix", { ...at6, source: "2001:db8:64::7f00:1" }, "SOURCE_UNMAPPED"],
    ["::ffff:a.b.c.d as a source", { ...at6, source: "::ffff:10.0.0.5" }, "SOURCE_UNMAPPED"],
  ] as const)
    test(name, async () => {
      const { drop: found, outputs } = await translate(ipPacket({ ...addresses, ...udp }));
      assert.deepEqual([found, outputs.length], [drop, 0]);
    });

  test("IPv4 without a prefix", async () => {
    assert.equal(
      (await translate(ipPacket({ ...at4, ...udp }), { pool6: undefined })).drop,
      "DESTINATION_UNMAPPED",
    );
  });
});

describe("other protocols", () => {
  const payload = (next: number, addresses: typeof at4) => {
    const packet = ipPacket({ ...addresses, ...udp });
    if (packet[0]! >> 4 === 6) packet[6] = next;
    else {
      packet[9] = next;
      put16(packet, 10, 0);
      put16(packet, 10, onesSum(packet.subarray(0, 20)) ^ 0xffff);
    }
    return packet;
  };
  for (const [name, number] of [
    ["ESP", 50],
    ["GRE", 47],
    ["SCTP", 132],
    ["IPv6 in IP", 41],
  ] as const)
    for (const [direction, addresses] of [
      ["4→6", at4],
      ["6→4", at6],
    ] as const)
      test(`${name} ${direction}: the payload as it is`, async () => {
        const packet = payload(number, addresses);
        const { outputs, fields } = await translate(packet);
        assert.equal(fields[0]?.protocol, number);
        const header = (bytes: Uint8Array) => (bytes[0]! >> 4 === 4 ? 20 : 40);
        assert.deepEqual(outputs[0]!.subarray(header(outputs[0]!)), packet.subarray(header(packet)));
      });
  for (const [name, number, addresses] of [
    ["ICMPv6 in IPv4", 58, at4],
    ["ICMPv4 in IPv6", 1, at6],
    ["Hop-by-Hop as an IPv4 protocol", 0, at4],
    ["Fragment as an IPv4 protocol", 44, at4],
  ] as const)
    test(`${name}: dropped`, async () =>
      assert.equal((await translate(payload(number, addresses))).drop, "PROTOCOL_UNSUPPORTED"));
});

describe("headers and checksums", () => {
  test("wrong IPv4 header checksum", async () => {
    const packet = ipPacket({ ...at4, ...udp });
    packet[10]! ^= 1;
    assert.equal((await translate(packet)).drop, "IPV4_CHECKSUM_INVALID");
  });
  test("UDP checksum 0: computed (RFC 7915 §4.5)", async () => {
    const { fields } = await translate(ipPacket({ ...at4, ...udp, checksum: "none" }));
    assert.equal(fields[0]?.sum, "right");
  });
  test("the MSS of a SYN stays", async () => {
    const packet = ipPacket({
      ...at4,
      ...udp,
      protocol: "tcp",
      tcpFlags: 2,
      tcpOptions: Uint8Array.of(2, 4, 0x23, 0),
    });
    const { fields } = await translate(packet);
    assert.deepEqual([fields[0]?.sum, String(fields[0]?.data).slice(40, 48)], ["right", "02042300"]);
  });
  test("port 0 and strange TCP flags are the ends' business", async () => {
    const packet = ipPacket({ ...at4, protocol: "tcp", sourcePort: 0, destinationPort: 0, tcpFlags: 0 });
    assert.equal((await translate(packet)).fields[0]?.sum, "right");
  });
  for (const [length, df] of [
    [1232, 0],
    [1233, 1],
  ] as const)
    test(`6→4, ${length + 28} bytes: DF=${df} (RFC 7915 §5.1)`, async () =>
      assert.equal(
        (await translate(ipPacket({ ...at6, ...udp, payload: new Uint8Array(length) }))).fields[0]?.df,
        df,
      ));
});

describe("fragments", () => {
  const big = (length: number) =>
    ipPacket({ ...at4, ...udp, dontFragment: false, payload: new Uint8Array(length) });
  for (const [name, lowestIpv6Mtu, sizes] of [
    ["1280", 1280, [1280, 304]],
    ["1400", 1400, [1400, 184]],
  ] as const)
    test(`IPv4 without DF, lowest IPv6 MTU ${name}`, async () => {
      const { outputs, drop } = await translate(big(1480), { lowestIpv6Mtu });
      assert.deepEqual([outputs.map(({ length }) => length), drop], [sizes.map((size) => size), undefined]);
    });
  test("a fragment stays one, identification and offset too", async () => {
    const packet = ipPacket({ ...at4, ...udp, dontFragment: false, payload: new Uint8Array(40) });
    put16(packet, 4, 0xbeef);
    put16(packet, 6, 0x2000 | 185);
    put16(packet, 10, 0);
    put16(packet, 10, onesSum(packet.subarray(0, 20)) ^ 0xffff);
    const { outputs, fields } = await translate(packet);
    assert.deepEqual([fields[0]?.id, fields[0]?.offset, fields[0]?.more], [0xbeef, 1480, 1]);
    assert.deepEqual((await translate(outputs[0]!)).fields[0]?.id, 0xbeef);
  });
});

describe("ICMP errors made here", () => {
  for (const [name, packet, drop, expected] of [
    ["IPv4, TTL 1", ipPacket({ ...at4, ...udp, hops: 1 }), "HOP_LIMIT_EXPIRED", ["192.0.2.1", 11, 0, 0]],
    [
      "IPv6, hop limit 1",
      ipPacket({ ...at6, ...udp, hops: 1 }),
      "HOP_LIMIT_EXPIRED",
      ["2001:db8:64::c000:201", 3, 0, 0],
    ],
    [
      "IPv4, DF, too big",
      ipPacket({ ...at4, ...udp, payload: new Uint8Array(1453) }),
      "PACKET_TOO_BIG",
      ["192.0.2.1", 3, 4, 1480],
    ],
    [
      "IPv6, too big",
      ipPacket({ ...at6, ...udp, payload: new Uint8Array(1473) }),
      "PACKET_TOO_BIG",
      ["2001:db8:64::c000:201", 2, 0, 1520],
    ],
    [
      "IPv4, source route",
      ipPacket({ ...at4, ...udp, options: Uint8Array.of(1, 131, 7, 4, 1, 2, 3, 4) }),
      "IPV4_SOURCE_ROUTE",
      ["192.0.2.1", 3, 5, 0],
    ],
    [
      "IPv6, segments left",
      ipPacket({ ...at6, ...udp, options: extensionHeader(17, 1, 1), firstExtension: 43 }),
      "IPV6_ROUTING_HEADER",
      ["2001:db8:64::c000:201", 4, 0, 43],
    ],
  ] as const)
    test(name, async () => {
      const { fields, outputs, drop: found } = await translate(packet);
      const [error] = fields;
      assert.equal(found, drop);
      assert.deepEqual(
        [error?.source, error?.type, error?.code, Number.parseInt(String(error?.word), 16)],
        expected,
      );
      assert.deepEqual([error?.sum, error?.destination], ["right", fieldsOf(packet).source]);
      const quote = outputs[0]!.subarray(error?.version === 4 ? 28 : 48);
      assert.deepEqual(quote, packet.subarray(0, quote.length));
      assert.equal(
        outputs[0]!.length,
        Math.min(packet.length + (error?.version === 4 ? 28 : 48), error?.version === 4 ? 576 : 1280),
      );
    });
});

function error(
  family: 4 | 6,
  source: string,
  destination: string,
  type: number,
  code: number,
  word: number,
  quote: Uint8Array,
) {
  const message = concat(Uint8Array.of(type, code), be16(0), be32(word), quote);
  const [from, to] = [addressBytes(source), addressBytes(destination)];
  const pseudo = family === 6 ? concat(from, to, be32(message.length), be32(58)) : new Uint8Array(0);
  put16(message, 2, onesSum(pseudo, message) ^ 0xffff);
  if (family === 6)
    return concat(be32(0x60000000), be16(message.length), Uint8Array.of(58, 64), from, to, message);
  const header = concat(
    Uint8Array.of(0x45, 0),
    be16(20 + message.length),
    be32(0),
    Uint8Array.of(64, 1, 0, 0),
    from,
    to,
  );
  put16(header, 10, onesSum(header) ^ 0xffff);
  return concat(header, message);
}

describe("ICMP errors relayed", () => {
  const quote4 = ipPacket({ source: at4.destination, destination: at4.source, ...udp });
  const quote6 = ipPacket({ source: at6.destination, destination: at6.source, ...udp });
  for (const [name, packet, expected] of [
    ["4→6 port unreachable", error(4, at4.source, at4.destination, 3, 3, 0, quote4), [1, 4, "00000000"]],
    [
      "4→6 needs fragmentation, 1400",
      error(4, at4.source, at4.destination, 3, 4, 1400, quote4),
      [2, 0, "0000058c"],
    ],
    ["6→4 port unreachable", error(6, at6.source, at6.destination, 1, 4, 0, quote6), [3, 3, "00000000"]],
    [
      "6→4 packet too big, 1400",
      error(6, at6.source, at6.destination, 2, 0, 1400, quote6),
      [3, 4, "00000564"],
    ],
    ["6→4 time exceeded", error(6, at6.source, at6.destination, 3, 0, 0, quote6), [11, 0, "00000000"]],
  ] as const)
    test(`${name}: the quote too`, async () => {
      const { fields } = await translate(packet);
      const [found] = fields;
      assert.deepEqual([found?.type, found?.code, found?.word], expected);
      assert.deepEqual([found?.sum, found?.["quote.sum"]], ["right", "right"]);
      const addresses = found?.version === 6 ? at6 : at4;
      const turned =
        found?.version === 6
          ? [addresses.destination, addresses.source]
          : [addresses.destination, addresses.source];
      assert.deepEqual([found?.source, found?.destination], turned);
      assert.deepEqual([found?.["quote.source"], found?.["quote.destination"]], [...turned].reverse());
    });
  test("IPv6 router without a mapping: pool6791v4 (RFC 6791)", async () => {
    const packet = error(6, "2001:db8:9::1", at6.destination, 3, 0, 0, quote6);
    assert.equal((await translate(packet)).fields[0]?.source, "192.0.2.1");
    assert.equal((await translate(packet, { pool6791v4: undefined })).drop, "SOURCE_UNMAPPED");
  });
  test("a wrong checksum isn't mended", async () => {
    const packet = error(4, at4.source, at4.destination, 3, 3, 0, quote4);
    put16(packet, 22, get16(packet, 22) ^ 1);
    assert.equal((await translate(packet)).drop, "ICMP_QUOTE_INVALID");
  });
});
