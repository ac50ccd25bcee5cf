/** Random DNS messages for property tests, in the words of dns-packet. */
import dnsPacket, { type Answer, type Packet } from "dns-packet";
import fc from "fast-check";

const label = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_"), minLength: 1, maxLength: 20 });
const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join("."));
const ttl = fc.nat(0x7fffffff);
const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const address4 = octets(4).map((bytes) => bytes.join("."));
const address6 = fc
  .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(":"));
const record: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({ type: fc.constant("A" as const), name, ttl, data: address4 }),
  fc.record({ type: fc.constant("AAAA" as const), name, ttl, data: address6 }),
  fc.record({
    type: fc.constantFrom("CNAME" as const, "NS" as const, "PTR" as const),
    name,
    ttl,
    data: name,
  }),
  fc.record({ type: fc.constant("TXT" as const), name, ttl, data: fc.string({ maxLength: 60 }) }),
);
const records = fc.array(record, { maxLength: 6 });
/** One question, records of the common types in every section. */
export const dnsPackets: fc.Arbitrary<Packet> = fc.record({
  type: fc.constantFrom("query" as const, "response" as const),
  id: fc.nat(0xffff),
  flags: fc.constantFrom(
    0,
    dnsPacket.RECURSION_DESIRED,
    dnsPacket.AUTHORITATIVE_ANSWER,
    dnsPacket.CHECKING_DISABLED,
  ),
  questions: fc
    .record({ name, type: fc.constantFrom("A" as const, "AAAA" as const, "TXT" as const) })
    .map((one) => [one]),
  answers: records,
  authorities: records,
  additionals: records,
});
