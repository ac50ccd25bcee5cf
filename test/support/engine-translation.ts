/** Properties of translation for any valid packet: the reference says the same; there and back is the identity. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesToIpv6, numberToIpv4 } from "../../src/addresses.ts";
import { decode } from "./decode.ts";
import { type Lab, labSettings, nat4, startLab } from "./engine.ts";
import {
  checkIn,
  checkOut,
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "./flows.ts";
import type { PacketSpec, Protocol } from "./packets.ts";

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const far6 = bytes16.map((bytes) => bytesToIpv6(bytes.with(0, 0x20 | (bytes[0]! & 0x1f))));
/** 11.0.0.0 and up: neither internal nor special. */
const far4 = fc.integer({ min: 0x0b000000, max: 0x7effffff }).map(numberToIpv4);
const pod4 = fc.nat(0xffff).map((host) => numberToIpv4(0x0a010000 + host));
const pod6 = bytes16.map((bytes) =>
  bytesToIpv6(Uint8Array.from([0xfd, 0, 0, 1, 0, 0, 0, 0, ...bytes.subarray(8)])),
);

const behind64 = (v4: string) =>
  bytesToIpv6(Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0x64, 0, 0, 0, 0, 0, 0, ...v4.split(".").map(Number)]));

const flow = fc.oneof(
  fc.record({ pod: pod4, remote: far6 }).map((ends): Flow => ({ ...flow46, ...ends, seen: nat4 })),
  fc
    .record({ pod: pod4, remote: far4 })
    .map(({ pod, remote }): Flow => ({ ...flow44, pod, remote, seen: remote })),
  fc
    .record({ pod: pod6, remote: far4 })
    .map(({ pod, remote }): Flow => ({ ...flow64, pod, remote, seen: behind64(remote) })),
  fc
    .record({ pod: pod6, remote: far6 })
    .map(({ pod, remote }): Flow => ({ ...flow66, pod, remote, seen: remote })),
);
const forms = fc.constantFrom<Partial<PacketSpec>>(
  { checksum: "complete" },
  { checksum: "partial" },
  { checksum: "partial", gsoSize: 536 },
  { checksum: "partial", gsoSize: 1400 },
);
const details = fc
  .record({
    length: fc.oneof(fc.nat(64), fc.integer({ min: 1100, max: 1400 })),
    salt: fc.nat(255),
    form: forms,
    hops: fc.integer({ min: 2, max: 255 }),
    tos: fc.nat(255),
    dontFragment: fc.boolean(),
    identification: fc.nat(65535),
    flowLabel: fc.nat(0xfffff),
  })
  .map(({ form, ...rest }) => ({ ...rest, ...form }));
type Details = typeof details extends fc.Arbitrary<infer T> ? T : never;
const packet = fc.record({
  flow,
  protocol: fc.constantFrom<Protocol>("tcp", "udp", "icmp"),
  port: fc.integer({ min: 1, max: 65535 }),
  there: details,
  back: details,
});

/** ICMP has no offload. Without DF what is too large is cut: see fragments.test.ts. */
function fitting(protocol: Protocol, { gsoSize, length, salt, ...details }: Details): Partial<PacketSpec> {
  const rest = { ...details, dontFragment: details.dontFragment || length > 1000 };
  const payload = Uint8Array.from({ length }, (_, index) => salt + index * 11);
  if (protocol === "icmp") return { ...rest, payload, checksum: "complete" };
  return { ...rest, payload, ...(gsoSize === undefined ? {} : { gsoSize }) };
}

function prepare(lab: Lab, chosen: Flow): void {
  // A new pool: every session of the run before is gone.
  lab.configure({ pool: [] });
  lab.configure({ pool: labSettings.pool });
  lab.sweep(0);
  if (chosen.seen === nat4) lab.install(nat4, chosen.remote);
}

export function translationProperties(runs: { readonly numRuns: number; readonly seed: number }): void {
  test("any valid packet: every byte as the reference builds it, checksums computed anew", async () => {
    const lab = await startLab();
    const property = fc.property(packet, ({ flow, protocol, port, there, back }) => {
      prepare(lab, flow);
      const outer = openFlow(lab, flow, protocol, port);
      checkOut(lab, flow, fromPod(flow, protocol, port, fitting(protocol, there)), outer);
      checkIn(lab, flow, fromRemote(flow, protocol, outer, fitting(protocol, back)), port);
    });
    fc.assert(property, runs);
  });

  test("between versions and, mirrored, back again: what the Pod sent comes back", async () => {
    const lab = await startLab();
    const translated = packet.filter(({ flow, there }) => flow.seen !== flow.remote && there.hops > 2);
    const property = fc.property(translated, ({ flow, protocol, port, there }) => {
      prepare(lab, flow);
      openFlow(lab, flow, protocol, port);
      const sent = fromPod(flow, protocol, port, fitting(protocol, there));
      const outside = decode(only(lab, sent));
      const mirrored = {
        ...outside,
        source: outside.destination,
        destination: outside.source,
        ...(protocol === "icmp"
          ? { echoReply: true }
          : { sourcePort: outside.destinationPort, destinationPort: outside.sourcePort }),
      };
      const back = decode(only(lab, mirrored));
      const kept = ({ payload, checksum, tos, gsoSize }: PacketSpec) => ({ payload, checksum, tos, gsoSize });
      assert.deepEqual(kept(back), kept(sent));
      assert.equal(back.tcpFlags, protocol === "tcp" ? sent.tcpFlags : 0);
      assert.deepEqual(
        [back.source, back.destination, back.hops],
        [sent.destination, sent.source, sent.hops - 2],
      );
      const ports = protocol === "icmp" ? [port, 0] : [sent.destinationPort, sent.sourcePort];
      assert.deepEqual([back.sourcePort, back.destinationPort], ports);
    });
    fc.assert(property, runs);
  });
}
