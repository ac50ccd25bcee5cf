import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatCidr } from "../../../src/addresses.ts";
import { parseEamt } from "../../../src/translate/eamt.ts";
import { createTranslator } from "../../../src/translate/translator.ts";

const parse = (text: string) =>
  parseEamt(text, "eamt").map(({ v4, v6 }) => [formatCidr(v4), formatCidr(v6)].join(" "));

describe("EAMT: read", () => {
  for (const [name, text, expected] of [
    ["nothing", "", []],
    ["comments, empty lines, CRLF", "# all\r\n\r\n  # more\r\n", []],
    ["a prefix each", "192.0.2.0/24 2001:db8::/120", ["192.0.2.0/24 2001:db8::/120"]],
    ["addresses without a length", "192.0.2.1\t2001:db8::1 # host", ["192.0.2.1/32 2001:db8::1/128"]],
    ["all of IPv4", "0.0.0.0/0 2001:db8::/96", ["0.0.0.0/0 2001:db8::/96"]],
    ["a longer IPv6 suffix", "192.0.2.0/25 2001:db8::/64", ["192.0.2.0/25 2001:db8::/64"]],
    [
      "a prefix inside another",
      "192.0.2.0/24 2001:db8::/120\n192.0.2.7 2001:db8:7::",
      ["192.0.2.0/24 2001:db8::/120", "192.0.2.7/32 2001:db8:7::/128"],
    ],
  ] as const)
    test(name, () => assert.deepEqual(parse(text), expected));
});

describe("EAMT: refused, with the place", () => {
  for (const [name, text, expected] of [
    ["one word", "\n192.0.2.0/24", /^eamt:2: expected 'IPv4-prefix IPv6-prefix', found 1 word/],
    ["three words", "192.0.2.1 2001:db8::1 x", /^eamt:1: .*found 3 word/],
    ["families the other way round", "2001:db8::1 192.0.2.1", /^eamt:1: '2001:db8::1' is not an IPv4 prefix/],
    ["no address", "192.0.2 2001:db8::1", /^eamt:1: '192.0.2' is not an address prefix/],
    ["a length too long", "192.0.2.0/33 2001:db8::", /^eamt:1: '192.0.2.0\/33'/],
    ["bits behind the length", "192.0.2.1/24 2001:db8::/120", /^eamt:1: .*192.0.2.0\/24 is the prefix/],
    ["an IPv6 prefix too long", "192.0.2.0/24 2001:db8::/121", /has 7 bits for the 8 .* \/120 would do/],
    [
      "the same IPv4 prefix",
      "192.0.2.1 2001:db8::1\n192.0.2.1 2001:db8::2",
      /^eamt:2: 192.0.2.1\/32 is mapped already \(in line 1\)/,
    ],
    [
      "the same IPv6 prefix",
      "192.0.2.1 2001:db8::1\n192.0.2.2 2001:db8:0::1",
      /^eamt:2: 2001:db8::1\/128 is mapped already/,
    ],
  ] as const)
    test(name, () => assert.throws(() => parse(text), { code: "EG46_EAMT_INVALID", message: expected }));
});

describe("options refused", () => {
  for (const [name, options, expected] of [
    ["prefix length 44", { pool6: "2001:db8::/44" }, /RFC 6052/],
    ["an IPv4 prefix", { pool6: "192.0.2.0/24" }, /RFC 6052/],
    ["bits 64 to 71", { pool6: "2001:db8:0:0:100::/96" }, /bits 64 to 71/],
    ["pool6791v4", { pool6791v4: "2001:db8::1" }, /not an IPv4 address/],
    ["mtu4", { mtu4: 67 }, /mtu4 67 is not between 68 and 65535/],
    ["mtu6", { mtu6: 1279 }, /mtu6 1279/],
    ["lowestIpv6Mtu", { lowestIpv6Mtu: 1e6 }, /lowestIpv6Mtu/],
    [
      "the same prefix twice",
      { eams: [1, 2].map((n) => ({ v4: "192.0.2.1", v6: `2001:db8::${n}` })) },
      /mapped already \(number 1\)/,
    ],
  ] as const)
    test(name, () =>
      assert.rejects(createTranslator({ eams: [], ...options }), { name: "TypeError", message: expected }),
    );
});
