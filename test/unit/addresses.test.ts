import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesToIpv6,
  cidrContains,
  formatCidr,
  ipv4ToNumber,
  ipv6ToBytes,
  isIpv4,
  isIpv6,
  numberToIpv4,
  parseCidr,
} from "../../src/addresses.ts";

for (const [text, number] of [
  ["0.0.0.0", 0],
  ["10.0.0.1", 0x0a000001],
  ["255.255.255.255", 0xffffffff],
] as const)
  test(`IPv4 ${text} there and back`, () => {
    assert.equal(ipv4ToNumber(text), number);
    assert.equal(numberToIpv4(number), text);
    assert.ok(isIpv4(text));
  });

for (const text of ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/8", "::1", "a.b.c.d"])
  test(`IPv4 '${text}' is refused`, () => {
    assert.throws(() => ipv4ToNumber(text), TypeError);
  });

for (const [text, canonical] of [
  ["2001:0DB8::0001", "2001:db8::1"],
  ["::", "::"],
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["::192.0.2.1", "::c000:201"],
  ["2002::10:20:2:206", "2002::10:20:2:206"],
] as const)
  test(`IPv6 ${text} is ${canonical}`, () => {
    assert.equal(bytesToIpv6(ipv6ToBytes(text)), canonical);
  });

for (const text of ["", "fe80::1%eth0", "1.2.3.4", "1::2::3", "12345::"])
  test(`IPv6 '${text}' is refused`, () => {
    assert.ok(!isIpv6(text));
    assert.throws(() => ipv6ToBytes(text), TypeError);
  });

for (const [text, formatted, inside, outside] of [
  ["10.1.2.3/8", "10.0.0.0/8", "10.255.0.1", "11.0.0.1"],
  ["192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.8"],
  ["0.0.0.0/0", "0.0.0.0/0", "8.8.8.8", "2001:db8::1"],
  ["2001:db8:ff::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"],
  ["::/0", "::/0", "fe80::1", "1.2.3.4"],
] as const)
  test(`prefix ${text} is ${formatted}`, () => {
    const cidr = parseCidr(text);
    assert.equal(formatCidr(cidr), formatted);
    assert.ok(cidrContains(cidr, inside));
    assert.ok(!cidrContains(cidr, outside));
  });

for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "::/129", "x/8"])
  test(`prefix '${text}' is refused`, () => {
    assert.throws(() => parseCidr(text), TypeError);
  });
