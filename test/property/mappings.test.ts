import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { bytesToIpv6, ipv6ToBytes, isIpv4, isIpv6, numberToIpv4 } from "../../src/addresses.ts";
import { canonicalHost6, decodeValue, encodeValue, keyOf, nat4OfKey } from "../../src/mappings/codec.ts";
import { inPool, inSubnet, poolOf, windowOf, windowSize } from "../../src/mappings/pool.ts";

/** fast-check prints seed and path of a failure; EG46_SEED repeats it. */
const runs = {
  numRuns: 500,
  ...(process.env.EG46_SEED ? { seed: Number(process.env.EG46_SEED) } : { seed: 46 }),
};

const nat4s = fc.integer({ min: 0, max: 0xffffffff }).map(numberToIpv4);
const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Global unicast, 2000::/3. */
const hosts = bytes16.map((bytes) => bytesToIpv6(bytes.with(0, 0x20 | (bytes[0]! & 0x1f))));
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF"), minLength: length, maxLength: length });

/** The same address in other words: full groups, capitals, a dotted tail. */
const spellings = fc
  .tuple(hosts, fc.boolean(), fc.boolean(), fc.boolean())
  .map(([host6, padded, capital, dotted]) => {
    const bytes = ipv6ToBytes(host6);
    const groups = Array.from({ length: 8 }, (_, index) => {
      const group = ((bytes[2 * index]! << 8) | bytes[2 * index + 1]!).toString(16);
      return padded ? group.padStart(4, "0") : group;
    });
    const text = dotted ? [...groups.slice(0, 6), bytes.slice(12).join(".")].join(":") : groups.join(":");
    return { host6, spelling: capital ? text.toUpperCase() : text };
  });

describe("dSSM codec, any input", () => {
  test("keys come back", () =>
    fc.assert(
      fc.property(nat4s, (nat4) => assert.equal(nat4OfKey(keyOf(nat4)), nat4)),
      runs,
    ));

  test("values come back, and what came back encodes to itself", () =>
    fc.assert(
      fc.property(hosts, (host6) => {
        const decoded = decodeValue(encodeValue(host6));
        assert.equal(decoded?.host6, host6);
        assert.equal(encodeValue(decoded.host6), encodeValue(host6));
      }),
      runs,
    ));

  test("any header and any spelling decode to the same host, header kept", () =>
    fc.assert(
      fc.property(hex(4), hex(8), hex(16), spellings, (generation, timeout, flags, { host6, spelling }) => {
        const decoded = decodeValue(generation + timeout + flags + spelling);
        assert.deepEqual(decoded, { generation, timeout, flags, host6 });
      }),
      runs,
    ));

  test("any text is decoded or refused, never a crash; what is accepted is IPv6 text to Node as well", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          hex(28).chain((head) => fc.string().map((tail) => head + tail)),
        ),
        (text) => {
          const decoded = decodeValue(text);
          if (decoded !== undefined) assert.ok(isIPv6(decoded.host6));
        },
      ),
      runs,
    ));

  test("any 16 bytes: accepted ones are canonical already", () =>
    fc.assert(
      fc.property(bytes16, (bytes) => {
        const text = bytesToIpv6(bytes);
        assert.ok([text, undefined].includes(canonicalHost6(text)));
      }),
      runs,
    ));
});

describe("candidate window, any pool", () => {
  const pools = fc
    .tuple(nat4s, fc.integer({ min: 8, max: 32 }), fc.integer({ min: 0, max: 300 }))
    .map(([address, length, reserved]) => ({ subnet: `${address}/${length}`, reserved }));

  test("min(128, size) distinct addresses inside the pool, the same for the same host", () =>
    fc.assert(
      fc.property(pools, hosts, (settings, host6) => {
        const pool = poolOf(settings);
        const window = windowOf(pool, host6);
        assert.equal(window.length, Math.min(windowSize, pool.size));
        assert.equal(new Set(window).size, window.length);
        assert.ok(window.every((nat4) => inPool(pool, nat4) && inSubnet(pool, nat4)));
        assert.deepEqual(windowOf(poolOf(settings), host6), window);
      }),
      runs,
    ));
});

describe("address text, any of it", () => {
  const pieces = fc.constantFrom(
    ":",
    "::",
    "0",
    "1",
    "db8",
    "ffff",
    "00a",
    "12345",
    ".",
    "1.2.3.4",
    "255",
    "256",
    "%",
    "g",
  );
  const texts = fc.oneof(
    fc.array(pieces, { maxLength: 18 }).map((all) => all.join("")),
    spellings.map(({ spelling }) => spelling),
    fc.string(),
  );
  test("IPv6 is what ipaddr.js takes for it, and the same address", () =>
    fc.assert(
      fc.property(texts, (text) => {
        const valid = !text.includes("%") && ipaddr.IPv6.isValid(text);
        assert.equal(isIpv6(text), valid, text);
        // The package takes ::a.b.c.d (RFC 4291 §2.5.5.1) for ::ffff:a.b.c.d.
        if (valid && !/^::\d+\./.test(text))
          assert.deepEqual([...ipv6ToBytes(text)], ipaddr.IPv6.parse(text).toByteArray());
      }),
      { ...runs, numRuns: 5000 },
    ));
  test("IPv4 is four decimal octets", () =>
    fc.assert(
      fc.property(fc.oneof(texts, nat4s), (text) =>
        assert.equal(isIpv4(text), ipaddr.IPv4.isValidFourPartDecimal(text), text),
      ),
      { ...runs, numRuns: 5000 },
    ));
  test("any 16 bytes are written as RFC 5952 wants", () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 1, 0xdb8, 0xffff), { minLength: 8, maxLength: 8 }),
        (groups) => {
          const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
          assert.equal(bytesToIpv6(bytes), new ipaddr.IPv6([...bytes]).toRFC5952String());
        },
      ),
      { ...runs, numRuns: 2000 },
    ));
});
