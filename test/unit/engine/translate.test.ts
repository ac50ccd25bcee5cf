/** What becomes of a packet's fields: RFC 7915 §4, §5, the offload rules of virtio-net, MSS. Byte for byte. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { decode } from "../../support/decode.ts";
import { type Lab, startLab } from "../../support/engine.ts";
import {
  checkIn,
  checkOut,
  type Expectation,
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  flows,
  fromPod,
  fromRemote,
  only,
  openFlow,
} from "../../support/flows.ts";
import {
  ACK,
  buildPacket,
  concat,
  extensionHeader,
  mssOption,
  onesSum,
  type PacketSpec,
  type Protocol,
  pseudoHeader,
  SYN,
} from "../../support/packets.ts";
import { readVnet, withVnet } from "../../support/vnet.ts";

let lab: Lab;
before(async () => {
  lab = await startLab();
});

let nextPort = 20000;
const bytes = (length: number, salt = 3) => Uint8Array.from({ length }, (_, index) => index * salt + 5);

interface Form {
  readonly name: string;
  readonly protocols: readonly Protocol[];
  readonly details: Partial<PacketSpec>;
}
const forms: readonly Form[] = [
  { name: "complete checksum", protocols: ["tcp", "udp", "icmp"], details: { checksum: "complete" } },
  { name: "partial checksum", protocols: ["tcp", "udp"], details: { checksum: "partial" } },
  {
    name: "GSO",
    protocols: ["tcp", "udp"],
    details: { checksum: "partial", gsoSize: 1200, payload: bytes(20_000) },
  },
];

describe("translation", () => {
  for (const flow of flows)
    for (const protocol of ["tcp", "udp", "icmp"] as const)
      for (const form of forms.filter(({ protocols }) => protocols.includes(protocol)))
        for (const length of [0, 1, 64, 1001]) {
          const name = `${protocol}, ${form.name}, ${form.details.payload?.length ?? length} bytes`;
          const details = { payload: bytes(length), ...form.details };
          if (form.details.payload !== undefined && length > 0) continue;
          const port = nextPort++;
          test(`${flow.out}: ${name}`, () => {
            const outer = openFlow(lab, flow, protocol, port);
            checkOut(lab, flow, fromPod(flow, protocol, port, details), outer);
          });
          test(`${flow.in}: ${name}`, () => {
            const outer = openFlow(lab, flow, protocol, port);
            checkIn(lab, flow, fromRemote(flow, protocol, outer, details), port);
          });
        }
});

const loose = concat(Uint8Array.of(148, 4, 0, 0), Uint8Array.of(1, 1, 1, 0));
const chain = concat(extensionHeader(60, 1), extensionHeader(43, 2), extensionHeader(6, 1));
/** An 'ordinary' SYN: MSS, window scale behind a NOP. */
const syn = (mss: number) => concat(mssOption(mss), Uint8Array.of(1, 3, 3, 7));
/** MSS at an odd offset. */
const odd = (mss: number) => concat(Uint8Array.of(1), mssOption(mss), Uint8Array.of(3, 3, 7));

interface Rule extends Expectation {
  readonly name: string;
  readonly flow: Flow;
  readonly way: "out" | "in";
  readonly protocol?: Protocol;
  readonly details: Partial<PacketSpec>;
}
const out46 = { flow: flow46, way: "out" } as const;
const in64 = { flow: flow46, way: "in" } as const;
const rules: readonly Rule[] = [
  { name: "TOS becomes the traffic class", ...out46, details: { tos: 0xb9 }, expected: { tos: 0xb9 } },
  { name: "the traffic class becomes TOS", ...in64, details: { tos: 0x47 }, expected: { tos: 0x47 } },
  { name: "TOS stays", flow: flow44, way: "out", details: { tos: 0xb9 } },
  {
    name: "traffic class and flow label stay",
    flow: flow66,
    way: "out",
    details: { tos: 0xb9, flowLabel: 0xabcde },
  },
  { name: "flow label 0, whatever the IPv4 identification", ...out46, details: { identification: 0xbeef } },
  { name: "a flow label is ignored", ...in64, details: { flowLabel: 0xfffff } },
  { name: "hop limit is TTL − 1", ...out46, details: { hops: 64 }, expected: { hops: 63 } },
  { name: "the last hop but one", ...out46, details: { hops: 2 }, expected: { hops: 1 } },
  { name: "TTL is hop limit − 1", ...in64, details: { hops: 2 }, expected: { hops: 1 } },
  { name: "TTL stays", flow: flow44, way: "out", details: { hops: 1 }, expected: { hops: 1 } },
  { name: "hop limit stays", flow: flow66, way: "in", details: { hops: 1 }, expected: { hops: 1 } },
  {
    name: "DF and identification stay",
    flow: flow44,
    way: "out",
    details: { dontFragment: false, identification: 77 },
  },
  { name: "DF set is lost without a trace", ...out46, details: { dontFragment: true } },
  { name: "DF clear is lost without a trace", ...out46, details: { dontFragment: false } },
  {
    name: "1260 bytes: DF clear",
    ...in64,
    details: { payload: bytes(1220) },
    expected: { dontFragment: false },
  },
  {
    name: "1261 bytes: DF set",
    ...in64,
    details: { payload: bytes(1221) },
    expected: { dontFragment: true },
  },
  {
    name: "a small super-packet: DF set",
    ...in64,
    details: { payload: bytes(200), checksum: "partial", gsoSize: 100 },
    expected: { dontFragment: true },
  },
  { name: "IPv4 options are dropped", ...out46, details: { options: loose } },
  {
    name: "40 bytes of IPv4 options are dropped",
    ...out46,
    details: { options: new Uint8Array(40).fill(1) },
  },
  {
    name: "an expired source route is ignored",
    ...out46,
    details: { options: Uint8Array.of(131, 7, 8, 1, 2, 3, 4, 0) },
  },
  { name: "IPv4 options stay", flow: flow44, way: "out", details: { options: loose } },
  { name: "IPv4 options stay", flow: flow44, way: "in", details: { options: loose } },
  { name: "extension headers are skipped", ...in64, details: { options: chain, firstExtension: 0 } },
  {
    name: "extension headers stay",
    flow: flow66,
    way: "out",
    details: { options: chain, firstExtension: 0 },
  },
  {
    name: "extension headers stay, partial checksum",
    flow: flow66,
    way: "in",
    details: { options: chain, firstExtension: 0, checksum: "partial" },
  },
  {
    name: "no UDP checksum: the kernel completes one",
    ...out46,
    protocol: "udp",
    details: { checksum: "none" },
  },
  {
    name: "no UDP checksum stays none",
    flow: flow44,
    way: "out",
    protocol: "udp",
    details: { checksum: "none" },
  },
  {
    name: "no UDP checksum stays none",
    flow: flow44,
    way: "in",
    protocol: "udp",
    details: { checksum: "none" },
  },
  { name: "an echo reply", ...in64, protocol: "icmp", details: { echoReply: true } },
  {
    name: "MSS of a SYN is lowered",
    ...out46,
    details: { tcpFlags: SYN, tcpOptions: syn(1460) },
    expected: { tcpOptions: syn(1440) },
  },
  {
    name: "MSS of a SYN-ACK is lowered",
    ...in64,
    details: { tcpFlags: SYN | ACK, tcpOptions: syn(1460) },
    expected: { tcpOptions: syn(1440) },
  },
  { name: "a smaller MSS stays", ...out46, details: { tcpFlags: SYN, tcpOptions: syn(1400) } },
  {
    name: "MSS at an odd offset",
    ...out46,
    details: { tcpFlags: SYN, tcpOptions: odd(8960) },
    expected: { tcpOptions: odd(1440) },
  },
  {
    name: "MSS, partial checksum",
    ...out46,
    details: { tcpFlags: SYN, tcpOptions: odd(8960), checksum: "partial" },
    expected: { tcpOptions: odd(1440) },
  },
  { name: "MSS without SYN stays", ...out46, details: { tcpOptions: syn(8960) } },
  {
    name: "MSS behind the end of options stays",
    ...out46,
    details: { tcpFlags: SYN, tcpOptions: concat(Uint8Array.of(0, 0, 0, 0), mssOption(9000)) },
  },
  {
    name: "a broken option list stays",
    ...out46,
    details: { tcpFlags: SYN, tcpOptions: concat(Uint8Array.of(3, 0), mssOption(9000), Uint8Array.of(0, 0)) },
  },
  {
    name: "MSS",
    flow: flow44,
    way: "out",
    details: { tcpFlags: SYN, tcpOptions: syn(8960) },
    expected: { tcpOptions: syn(1460) },
  },
  {
    name: "MSS doesn't count IP options (RFC 6691)",
    flow: flow44,
    way: "out",
    details: { tcpFlags: SYN, tcpOptions: syn(8960), options: loose },
    expected: { tcpOptions: syn(1460) },
  },
  {
    name: "MSS",
    flow: flow66,
    way: "out",
    details: { tcpFlags: SYN, tcpOptions: syn(8960) },
    expected: { tcpOptions: syn(1440) },
  },
  {
    name: "segments of a super-packet get 20 bytes smaller",
    ...out46,
    details: { checksum: "partial", gsoSize: 1460, payload: bytes(9000) },
    expected: { gsoSize: 1440 },
  },
  {
    name: "TCP options count for the segment size",
    ...out46,
    details: {
      checksum: "partial",
      gsoSize: 1448,
      payload: bytes(9000),
      tcpOptions: new Uint8Array(12).fill(1),
    },
    expected: { gsoSize: 1428 },
  },
  {
    name: "segments that fit stay",
    ...in64,
    details: { checksum: "partial", gsoSize: 1440, payload: bytes(9000) },
    expected: { gsoSize: 1440 },
  },
  {
    name: "UDP segments never change",
    ...out46,
    protocol: "udp",
    details: { checksum: "partial", gsoSize: 1452, payload: bytes(9000) },
    expected: { gsoSize: 1452 },
  },
  {
    name: "the largest super-packet",
    ...out46,
    details: { checksum: "partial", gsoSize: 1400, payload: bytes(65_495) },
  },
  {
    name: "the largest super-packet",
    ...in64,
    details: { checksum: "partial", gsoSize: 1400, payload: bytes(65_495) },
  },
];

/** What NAT46 makes of a packet on its way out NAT64 makes of it on its way in. */
const rules64 = rules
  .filter(({ flow }) => flow === flow46)
  .map((rule): Rule => ({ ...rule, flow: flow64, way: rule.way === "out" ? "in" : "out" }));

describe("field rules", () => {
  for (const { name, flow, way, protocol = "tcp", details, ...hope } of [...rules, ...rules64])
    test(`${flow[way]}: ${name}`, () => {
      const port = nextPort++;
      const outer = openFlow(lab, flow, protocol, port);
      if (way === "out") checkOut(lab, flow, fromPod(flow, protocol, port, details), outer, hope);
      else checkIn(lab, flow, fromRemote(flow, protocol, outer, details), port, hope);
    });

  test("GSO: the ECN bit is kept both ways", () => {
    const port = nextPort++;
    const outer = openFlow(lab, flow46, "tcp", port);
    const details = { checksum: "partial", gsoSize: 1400, payload: bytes(5000) } as const;
    const sent = only(lab, ecn(fromPod(flow46, "tcp", port, details)));
    assert.equal(readVnet(sent).gsoType, 4 | 0x80);
    const back = only(lab, ecn(fromRemote(flow46, "tcp", outer, details)));
    assert.equal(readVnet(back).gsoType, 1 | 0x80);
    decode(sent);
    decode(back);
  });

  test("bytes behind the length that the IP header gives are cut off", () => {
    const port = nextPort++;
    const outer = openFlow(lab, flow46, "udp", port);
    const clean = only(lab, fromPod(flow46, "udp", port));
    const padded = only(lab, concat(buildPacket(fromPod(flow46, "udp", port)), new Uint8Array(9)));
    assert.deepEqual(padded, clean);
    const back = only(lab, concat(buildPacket(fromRemote(flow46, "udp", outer)), new Uint8Array(9)));
    assert.equal(decode(back).payload.length, fromRemote(flow46, "udp", outer).payload.length);
  });

  for (const [flow, way] of [
    [flow46, "out"],
    [flow46, "in"],
    [flow44, "out"],
    [flow44, "in"],
    [flow66, "out"],
    [flow64, "out"],
    [flow64, "in"],
  ] as const)
    test(`${flow[way]}: a UDP checksum that comes out as zero is sent as ffff`, () => {
      const port = nextPort++;
      const outer = openFlow(lab, flow, "udp", port);
      const spec = way === "out" ? fromPod(flow, "udp", port) : fromRemote(flow, "udp", outer);
      const after =
        way === "out"
          ? { source: flow.snat, destination: flow.remote, ports: [outer, 8080] }
          : { source: flow.seen, destination: flow.pod, ports: [8080, port] };
      const payload = payloadForZero(after);
      if (way === "out") checkOut(lab, flow, { ...spec, payload }, outer);
      else checkIn(lab, flow, { ...spec, payload }, port);
    });
});

const ecn = (spec: PacketSpec) => {
  const packet = buildPacket(spec);
  return withVnet(packet, { gsoType: readVnet(packet).gsoType | 0x80 });
};

/** Two bytes of payload that make the sum over everything ffff. */
function payloadForZero(after: {
  source: string;
  destination: string;
  ports: readonly number[];
}): Uint8Array {
  const header = Uint8Array.from([...after.ports, 10, 0].flatMap((word) => [word >> 8, word & 255]));
  const rest = 0xffff - onesSum(pseudoHeader(after.source, after.destination, 10, 17), header);
  return Uint8Array.of(rest >> 8, rest & 255);
}
