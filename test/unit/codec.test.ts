import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canonicalHost6, decodeValue, encodeValue, keyOf, nat4OfKey } from "../../src/mappings/codec.ts";

const header = { generation: "0001", timeout: "00000000", flags: "0000000000000002" };

describe("dSSM codec", () => {
  test("the specification's example, byte for byte", () => {
    assert.equal(keyOf("10.144.175.220"), "0073c3b6eft_dns4610.144.175.220");
    assert.equal(encodeValue("2002::10:20:2:206"), "00010000000000000000000000022002::10:20:2:206");
    assert.deepEqual(decodeValue("00010000000000000000000000022002::10:20:2:206"), {
      ...header,
      host6: "2002::10:20:2:206",
    });
  });

  const keys: Record<string, [key: string, nat4: string | undefined]> = {
    "its own": ["0073c3b6eft_dns4610.0.0.1", "10.0.0.1"],
    "zero-padded octets": ["0073c3b6eft_dns46010.0.0.1", undefined],
    "octet over 255": ["0073c3b6eft_dns4610.0.0.256", undefined],
    "no address": ["0073c3b6eft_dns46", undefined],
    "trailing text": ["0073c3b6eft_dns4610.0.0.1 ", undefined],
    "another table": ["0073c3b6eft_dns6410.0.0.1", undefined],
    "another ha_unit": ["1073c3b6eft_dns4610.0.0.1", undefined],
    "an IPv6 address": ["0073c3b6eft_dns46::1", undefined],
  };
  for (const [name, [key, nat4]] of Object.entries(keys))
    test(`key with ${name} → ${nat4 ?? "not ours"}`, () => assert.equal(nat4OfKey(key), nat4));

  for (const text of ["", "10.0.0", "010.0.0.1", "10.0.0.1\n", "::1", "10.0.0.1/32"])
    test(`keyOf(${JSON.stringify(text)}) throws`, () => assert.throws(() => keyOf(text), TypeError));

  const hosts: Record<string, [text: string, host6: string | undefined]> = {
    "canonical text": ["2001:db8::1", "2001:db8::1"],
    "capitals and leading zeros": ["2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    "one zero group is not shortened": ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    "the longest run is shortened": ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    "a dotted tail": ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    "unique local": ["fd00::1", "fd00::1"],
    unspecified: ["::", undefined],
    loopback: ["::1", undefined],
    "IPv4-mapped": ["::ffff:192.0.2.1", undefined],
    "IPv4-mapped in hex": ["::ffff:c000:201", undefined],
    "IPv4-compatible": ["::192.0.2.1", undefined],
    "IPv4-compatible in hex": ["::c000:201", undefined],
    multicast: ["ff02::1", undefined],
    "link-local": ["fe80::1", undefined],
    "end of link-local": ["febf::1", undefined],
    "after link-local": ["fec0::1", "fec0::1"],
    "with a zone": ["2001:db8::1%eth0", undefined],
    "with a prefix length": ["2001:db8::1/64", undefined],
    "IPv4 text": ["192.0.2.1", undefined],
    empty: ["", undefined],
    "two gaps": ["2001::db8::1", undefined],
    spaces: [" 2001:db8::1", undefined],
  };
  for (const [name, [text, host6]] of Object.entries(hosts))
    test(`host, ${name}: ${JSON.stringify(text)} → ${host6 ?? "refused"}`, () => {
      assert.equal(canonicalHost6(text), host6);
      assert.equal(decodeValue(`0001000000000000000000000002${text}`)?.host6, host6);
      if (host6 === undefined) assert.throws(() => encodeValue(text), TypeError);
      else assert.equal(encodeValue(text), `0001000000000000000000000002${host6}`);
    });

  test("any generation, timeout and flags are kept as written", () => {
    assert.deepEqual(decodeValue("00aF0000003cFFFFFFFFFFFFFFFF2001:db8::1"), {
      generation: "00aF",
      timeout: "0000003c",
      flags: "FFFFFFFFFFFFFFFF",
      host6: "2001:db8::1",
    });
  });

  const malformed: Record<string, string> = {
    empty: "",
    "an address alone": "2001:db8::1",
    "no address": "0001000000000000000000000002",
    "a header digit missing": "000100000000000000000000002:db8::1",
    "not hex": "000g0000000000000000000000022001:db8::1",
    "trailing newline": "00010000000000000000000000022001:db8::1\n",
    "trailing NUL": "00010000000000000000000000022001:db8::1\0",
    quoted: '"00010000000000000000000000022001:db8::1"',
    "very long": `0001000000000000000000000002${"1:".repeat(100_000)}`,
  };
  for (const [name, text] of Object.entries(malformed))
    test(`value, ${name}: not a mapping`, () => assert.equal(decodeValue(text), undefined));
});
