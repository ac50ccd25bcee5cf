import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { numberToIpv4 } from "../../src/addresses.ts";
import { createTranslator } from "../../src/translate/translator.ts";
import { ipPacket } from "../support/captures.ts";
import { fieldsOf } from "../support/packet-fields.ts";
import type { Protocol } from "../support/packets.ts";
import { generate } from "../support/siit-packets.ts";

const seed = Number(process.env.TEST_SEED ?? 46);
const prefixes = [
  "2001:db8::/32",
  "2001:db8:100::/40",
  "2001:db8:122::/48",
  "2001:db8:122:300::/56",
  "2001:db8:122:344::/64",
  "2001:db8:122:344::/96",
];
/** 11.0.0.0 to 126.255.255.255: no special address among them. */
const address = fc.integer({ min: 0x0b000000, max: 0x7effffff }).map(numberToIpv4);

describe(`translation without state, seed ${seed}`, () => {
  for (const pool6 of prefixes)
    test(`${pool6}: 4→6→4 is the identity but for the hops`, async () => {
      const translator = await createTranslator({ eams: [{ v4: "12.0.0.0/8", v6: "2001:db9::/64" }], pool6 });
      const property = fc.property(
        fc.record({
          source: address,
          destination: address,
          protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
          sourcePort: fc.nat(65535),
          destinationPort: fc.nat(65535),
          payload: fc.uint8Array({ maxLength: 1200 }),
          hops: fc.integer({ min: 3, max: 255 }),
          tos: fc.nat(255),
        }),
        (input) => {
          const packet = ipPacket({ ...input, dontFragment: false });
          const [six] = translator.translate(packet).outputs;
          const [four] = translator.translate(six!).outputs;
          assert.deepEqual({ ...fieldsOf(four!), id: 0, ttl: input.hops }, { ...fieldsOf(packet), id: 0 });
        },
      );
      fc.assert(property, { seed, numRuns: 300 });
    });

  test("any packet: translated, or a reason, or an error to its sender; checksums right", async () => {
    const eams = [{ v4: "10.0.0.1", v6: "2001:db8:1::77" }];
    const pool6 = prefixes[5]!;
    const translator = await createTranslator({ eams, pool6, pool6791v4: "192.0.2.254" });
    for (const packet of generate({ eams, pool6 }, seed, 5_000)) {
      const { outputs, drop } = translator.translate(packet);
      assert.ok(drop !== undefined || outputs.length > 0);
      for (const output of outputs) {
        const fields = fieldsOf(output);
        assert.equal(fields.version === packet[0]! >> 4, drop !== undefined, "the version tells an error");
        assert.notEqual(fields.headerSum, "wrong");
        assert.ok(output.length <= 1500 || fields.version === 4);
      }
    }
  });
});
