/** One row or more for each drop reason: the packet is counted under it once, and nothing comes out but ICMP errors. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultBehaviour } from "../../../src/engine/behaviour.ts";
import { DropReason } from "../../../src/engine/layout.gen.ts";
import { decode } from "../../support/decode.ts";
import {
  far4,
  far6,
  type Lab,
  nat4,
  nat64,
  pod4,
  poolEntry,
  snat4,
  snat6,
  startLab,
} from "../../support/engine.ts";
import {
  type Flow,
  flow44,
  flow46,
  flow64,
  flow66,
  flows,
  fromPod,
  fromRemote,
  openFlow,
} from "../../support/flows.ts";
import { cut as inPieces, type Piece, readPiece, writePiece } from "../../support/fragments.ts";
import { outerRouter6, type Side, setScene, side46, side64, sides } from "../../support/icmp-scene.ts";
import {
  ACK,
  buildPacket,
  concat,
  extensionHeader,
  FIN,
  type PacketSpec,
  type Protocol,
  RST,
  SYN,
  withBytes,
} from "../../support/packets.ts";
import { VNET_BYTES, withVnet } from "../../support/vnet.ts";

type Name = Exclude<keyof typeof DropReason, "NONE">;
interface Row {
  readonly reason: Name;
  readonly name: string;
  /** The packets to drop; what must stand before them is done here too. */
  readonly packets: (lab: Lab) => readonly Uint8Array[];
  /** ICMP errors that come out. */
  readonly errors?: number;
}

const row = (
  reason: Name,
  name: string,
  packets: (lab: Lab) => Uint8Array | readonly Uint8Array[],
  errors = 0,
): Row => ({ reason, name, errors, packets: (lab) => [packets(lab)].flat() });

const out = (flow: Flow, protocol: "tcp" | "udp" | "icmp", details: Partial<PacketSpec> = {}) =>
  buildPacket(fromPod(flow, protocol, 4000, { tcpFlags: SYN, ...details }));
const tcp4 = out(flow46, "tcp");
const udp4 = out(flow46, "udp");
const tcp6 = out(flow66, "tcp");
const udp6 = out(flow66, "udp");
const icmp4 = out(flow46, "icmp");
const cut = (packet: Uint8Array, length: number) => packet.slice(0, VNET_BYTES + length);
/** A fragment with the IP header of `packet`. */
const piece = (packet: Uint8Array, fields: Partial<Piece>) =>
  writePiece({ ...readPiece(packet), dontFragment: false, fragmentHeader: true, ...fields });
const icmpOf = (packet: Uint8Array) => readPiece(packet).data.slice(0, 16);
const vnet = new Uint8Array(VNET_BYTES);
const bytes = (length: number) => new Uint8Array(length).fill(0x61);
const to = (destination: string) => out({ ...flow44, seen: destination }, "udp");
const routing = (segmentsLeft: number) =>
  out(flow66, "udp", { options: extensionHeader(17, 2, segmentsLeft), firstExtension: 43 });
const sourceRoute = (kind: number) =>
  out(flow46, "udp", { options: Uint8Array.of(1, kind, 7, 4, 1, 2, 3, 4) });

const rows: readonly Row[] = [
  row("IP_VERSION_UNKNOWN", "version 0", () => withBytes(tcp4, { 0: 0x05 })),
  row("IP_VERSION_UNKNOWN", "version 5", () => withBytes(tcp4, { 0: 0x55 })),
  row("IP_TRUNCATED", "no virtio-net header", () => vnet.slice(0, 11)),
  row("IP_TRUNCATED", "nothing behind it", () => vnet),
  row("IP_TRUNCATED", "19 bytes", () => cut(tcp4, 19)),
  row("IP_TRUNCATED", "39 bytes of IPv6", () => cut(udp6, 39)),
  row("IP_TRUNCATED", "IPv4 total length beyond the end", () => tcp4.slice(0, -1)),
  row("IP_TRUNCATED", "IPv6 payload length beyond the end", () => udp6.slice(0, -1)),
  row("IPV4_HEADER_INVALID", "header of 16 bytes", () => withBytes(tcp4, { 0: 0x44 })),
  row("IPV4_HEADER_INVALID", "header longer than the packet", () => withBytes(tcp4, { 2: 0, 3: 19 })),
  row("IPV4_SOURCE_ROUTE", "loose", () => sourceRoute(131), 1),
  row("IPV4_SOURCE_ROUTE", "strict", () => sourceRoute(137), 1),
  row("IPV6_EXTENSION_INVALID", "beyond the packet", () => withBytes(udp6, { 6: 60, 41: 200 })),
  row("IPV6_EXTENSION_INVALID", "cut off", () => withBytes(cut(udp6, 44), { 5: 4, 6: 60 })),
  row("IPV6_EXTENSION_INVALID", "nine of them", () =>
    out(flow66, "udp", {
      options: concat(...Array.from({ length: 9 }, () => extensionHeader(60, 1))),
      firstExtension: 60,
    }),
  ),
  row("IPV6_ROUTING_HEADER", "one segment left", () => routing(1), 1),
  row("FRAGMENT_INVALID", "IPv4, empty", () => piece(udp4, { offset: 8, data: bytes(0) })),
  row("FRAGMENT_INVALID", "IPv6, empty", () => piece(udp6, { offset: 8, data: bytes(0) })),
  row("FRAGMENT_INVALID", "IPv4, not the last, 9 bytes", () =>
    piece(udp4, { offset: 8, more: true, data: bytes(9) }),
  ),
  row("FRAGMENT_INVALID", "IPv6, not the last, 9 bytes", () =>
    piece(udp6, { offset: 8, more: true, data: bytes(9) }),
  ),
  row("FRAGMENT_INVALID", "IPv4, ends at 65,536", () => piece(udp4, { offset: 65_512, data: bytes(4) })),
  row("FRAGMENT_INVALID", "IPv6, ends at 65,536", () => piece(udp6, { offset: 65_528, data: bytes(8) })),
  row("FRAGMENT_INVALID", "IPv4, in the TCP header", () => piece(tcp4, { offset: 16, data: bytes(8) })),
  row("FRAGMENT_INVALID", "IPv6, in the TCP header", () => piece(tcp6, { offset: 8, data: bytes(8) })),
  row("FRAGMENT_UNSUPPORTED", "echo request 4→6", () => piece(icmp4, { more: true, data: icmpOf(icmp4) })),
  row("FRAGMENT_UNSUPPORTED", "echo reply 6→4", (lab) => {
    const reply = buildPacket(fromRemote(flow46, "icmp", openFlow(lab, flow46, "icmp", 4000)));
    return piece(reply, { more: true, data: icmpOf(reply) });
  }),
  row("FRAGMENT_UNSUPPORTED", "a DNS question", (lab) => {
    lab.configure({ dns: true });
    return inPieces(out(flow44, "udp", { destinationPort: 53 }), [16], 1).slice(0, 1);
  }),
  row("FRAGMENT_UNSUPPORTED", "an ICMP error", () => {
    const error = withBytes(icmp4, { 20: 3 });
    return piece(error, { more: true, data: icmpOf(error) });
  }),
  row("FRAGMENT_TIMEOUT", "its first one never came", (lab) => {
    lab.push([piece(udp4, { offset: 8, data: bytes(9) })]);
    return [];
  }),
  row("FRAGMENT_QUEUE_FULL", "the 65th: the oldest goes", () =>
    Array.from({ length: 65 }, (_, index) =>
      piece(udp4, { identification: index, offset: 8, data: bytes(9) }),
    ),
  ),
  row("PROTOCOL_UNSUPPORTED", "IPv4: SCTP", () => withBytes(udp4, { 9: 132 })),
  row("PROTOCOL_UNSUPPORTED", "IPv4: ICMPv6", () => withBytes(icmp4, { 9: 58 })),
  row("PROTOCOL_UNSUPPORTED", "IPv6: ICMPv4", () => withBytes(udp6, { 6: 1 })),
  row("PROTOCOL_UNSUPPORTED", "IPv6: no next header", () => withBytes(udp6, { 6: 59 })),
  row("TCP_HEADER_INVALID", "header of 16 bytes", () => withBytes(tcp4, { 32: 0x40 })),
  row("TCP_HEADER_INVALID", "header beyond the packet", () => withBytes(tcp4, { 32: 0xf0 })),
  row("TCP_HEADER_INVALID", "19 bytes", () => withBytes(cut(tcp4, 39), { 3: 39 })),
  row("TCP_FLAGS_INVALID", "none", () => out(flow46, "tcp", { tcpFlags: 0 })),
  row("TCP_FLAGS_INVALID", "SYN and FIN", () => out(flow46, "tcp", { tcpFlags: SYN | FIN })),
  row("TCP_FLAGS_INVALID", "SYN and RST", () => out(flow46, "tcp", { tcpFlags: SYN | RST })),
  row("UDP_LENGTH_INVALID", "7 bytes", () => withBytes(cut(udp4, 27), { 3: 27 })),
  row("UDP_LENGTH_INVALID", "length field too long", () => withBytes(udp4, { 24: 1 })),
  row("UDP_LENGTH_INVALID", "length field too short", () => withBytes(udp4, { 25: 8 })),
  row("UDP_CHECKSUM_MISSING", "IPv6", () => withBytes(udp6, { 46: 0, 47: 0 })),
  row("ICMP_TRUNCATED", "7 bytes", () => withBytes(cut(icmp4, 27), { 3: 27 })),
  row("ICMP_TYPE_UNSUPPORTED", "IPv4 redirect", () => withBytes(icmp4, { 20: 5 })),
  row("ICMP_TYPE_UNSUPPORTED", "IPv4 echo with a code", () => withBytes(icmp4, { 21: 1 })),
  row("ICMP_TYPE_UNSUPPORTED", "IPv6 neighbour advertisement", () =>
    withBytes(out(flow66, "icmp"), { 40: 136 }),
  ),
  row("ICMP_TYPE_UNSUPPORTED", "echo reply of a Pod that nobody asked for", () =>
    out(flow46, "icmp", { echoReply: true }),
  ),
  ...icmpErrors(),
  row("PORT_ZERO", "source", () => buildPacket(fromPod(flow46, "udp", 0))),
  row("PORT_ZERO", "destination", () => out(flow46, "tcp", { destinationPort: 0 })),
  row("OFFLOAD_INVALID", "checksum starts elsewhere", () =>
    withVnet(out(flow46, "tcp", { checksum: "partial" }), { checksumStart: 24 }),
  ),
  row("OFFLOAD_INVALID", "checksum field elsewhere", () =>
    withVnet(out(flow46, "tcp", { checksum: "partial" }), { checksumOffset: 6 }),
  ),
  row("OFFLOAD_INVALID", "partial ICMP checksum", () =>
    withVnet(icmp4, { flags: 1, checksumStart: 20, checksumOffset: 2 }),
  ),
  row("OFFLOAD_INVALID", "segments without a partial checksum", () =>
    withVnet(tcp4, { gsoType: 1, gsoSize: 1000 }),
  ),
  row("OFFLOAD_INVALID", "segments of no size", () =>
    out(flow46, "tcp", { checksum: "partial", gsoSize: 0 }),
  ),
  row("OFFLOAD_INVALID", "TCPv6 segments in IPv4", () =>
    withVnet(out(flow46, "tcp", { checksum: "partial", gsoSize: 9 }), { gsoType: 4 }),
  ),
  row("OFFLOAD_INVALID", "TCP segments in UDP", () =>
    withVnet(out(flow46, "udp", { checksum: "partial", gsoSize: 9 }), { gsoType: 1 }),
  ),
  row("OFFLOAD_INVALID", "UDP segments in TCP", () =>
    withVnet(out(flow46, "tcp", { checksum: "partial", gsoSize: 9 }), { gsoType: 5 }),
  ),
  row("OFFLOAD_INVALID", "UDP fragmentation offload", () =>
    withVnet(out(flow46, "udp", { checksum: "partial", gsoSize: 9 }), { gsoType: 3 }),
  ),
  row("SOURCE_NOT_INTERNAL", "IPv4", () => out({ ...flow46, pod: "10.2.0.1" }, "tcp")),
  row("SOURCE_NOT_INTERNAL", "IPv6", () => out({ ...flow66, pod: "fd00:2::1" }, "udp")),
  row("SOURCE_NOT_INTERNAL", "IPv6 with a Pod's IPv4 address in it", () =>
    out({ ...flow66, pod: `::ffff:${pod4}` }, "udp"),
  ),
  row("SOURCE_NOT_INTERNAL", "a DNS question", (lab) => {
    lab.configure({ dns: true });
    return out({ ...flow44, pod: "10.2.0.1" }, "udp", { destinationPort: 53 });
  }),
  ...["0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255"].map(
    (destination) => row("DESTINATION_NOT_FORWARDABLE", destination, () => to(destination)),
  ),
  ...["::", "::1", "fe80::1", "febf::1", "ff02::1", `::ffff:${snat4}`, `::ffff:${far4}`].map((destination) =>
    row("DESTINATION_NOT_FORWARDABLE", destination, () => out({ ...flow66, seen: destination }, "udp")),
  ),
  ...["::1", "fe80::1", "ff02::1", `::ffff:${far4}`].map((destination) =>
    row("DESTINATION_NOT_FORWARDABLE", `mapping to ${destination}`, (lab) => {
      lab.install(nat4, destination);
      return tcp4;
    }),
  ),
  row("DESTINATION_INTERNAL", "IPv4", () => to("10.1.9.9")),
  row("DESTINATION_INTERNAL", "IPv6", () => out({ ...flow66, seen: "fd00:1::9" }, "udp")),
  row("EGRESS_NOT_CONFIGURED", "IPv4", (lab) => {
    lab.configure({ active: false });
    return tcp4;
  }),
  row("DUAL_STACK_DISABLED", "IPv6 from a Pod", (lab) => {
    lab.configure({ dualStack: false });
    return udp6;
  }),
  ...nat64Rows(),
  row("MAPPING_UNKNOWN", "the store has just said so", (lab) => {
    lab.unknown("10.244.50.99", false, 0);
    return to("10.244.50.99");
  }),
  row("MAPPING_TIMEOUT", "the store didn't answer in time", (lab) => {
    lab.push([to("10.244.50.99")], 0);
    lab.push([to("10.244.50.98")], 0);
    lab.unknown("10.244.50.98", true, 0);
    return [];
  }),
  row("MAPPING_QUEUE_FULL", "the ninth for one address", (lab) => {
    lab.push(Array.from({ length: 8 }, () => to("10.244.50.99")));
    return to("10.244.50.99");
  }),
  row("MAPPING_QUEUE_FULL", "the 65th in all", (lab) => {
    lab.push(Array.from({ length: 64 }, (_, index) => to(`10.244.50.${100 + index}`)));
    return to("10.244.50.99");
  }),
  row("SNAT_ADDRESS_MISSING", "TCP, no IPv6 address", (lab) => {
    lab.configure({ pool: [poolEntry(snat4)] });
    return tcp4;
  }),
  row("SNAT_ADDRESS_MISSING", "UDP, no address at all", (lab) => {
    lab.configure({ pool: [] });
    return to(far4);
  }),
  ...(["tcp", "udp", "icmp"] as const).map((protocol) =>
    row("SNAT_PORTS_EXHAUSTED", protocol, (lab) => {
      lab.configure({ pool: [poolEntry(snat4, { firstPort: 9000, lastPort: 9000 })] });
      lab.push([fromPod(flow44, protocol, 3999, { tcpFlags: SYN })]);
      return out(flow44, protocol);
    }),
  ),
  row("SESSION_TABLE_FULL", "TCP", (lab) => {
    lab.push(
      Array.from({ length: 1 << 14 }, (_, index) =>
        fromPod(flow46, "tcp", 10_000 + index, { tcpFlags: SYN }),
      ),
    );
    return tcp4;
  }),
  ...(["tcp", "udp", "icmp"] as const).map((protocol) =>
    row("POD_SESSIONS_EXCEEDED", protocol, (lab) => {
      lab.limit("podSessions", 1);
      openFlow(lab, flow44, "udp", 1);
      return out(flow46, protocol);
    }),
  ),
  row("POD_TABLE_FULL", "TCP", (lab) => {
    lab.limit("podSessions", 1);
    // A place for every eighth session.
    lab.push(
      Array.from({ length: 1 << 11 }, (_, index) =>
        fromPod({ ...flow44, pod: `10.1.${index >> 8}.${index & 255}` }, "udp", 1),
      ),
    );
    return out({ ...flow44, pod: "10.1.100.1" }, "tcp");
  }),
  row("TCP_NO_SESSION", "ACK", () => out(flow46, "tcp", { tcpFlags: ACK })),
  row("TCP_NO_SESSION", "SYN-ACK", () => out(flow46, "tcp", { tcpFlags: SYN | ACK })),
  row("TCP_NO_SESSION", "RST", () => out(flow66, "tcp", { tcpFlags: RST })),
  ...flows.flatMap((flow) =>
    (["tcp", "udp", "icmp"] as const).map((protocol) =>
      row("INBOUND_NO_SESSION", `${flow.in}, ${protocol}`, () =>
        buildPacket(fromRemote(flow, protocol, 5000)),
      ),
    ),
  ),
  row("SNAT_BLOCK_MISSING", "the Pod's address lies beyond the blocks", (lab) => {
    lab.configure({ behaviour: { ...defaultBehaviour, portBlock: 64 } });
    return out({ ...flow44, pod: "10.1.9.9" }, "udp");
  }),
  row("INBOUND_REMOTE_UNMAPPED", "an IPv6 host that the IPv4 Pod hasn't sent to", (lab) => {
    lab.configure({ behaviour: { ...defaultBehaviour, eif: ["udp"] } });
    const port = openFlow(lab, flow46, "udp", 4000);
    return buildPacket(fromRemote({ ...flow46, remote: far6 }, "udp", port));
  }),
  row("INBOUND_NO_SESSION", "echo request with a session's identifier", (lab) =>
    buildPacket(fromRemote(flow46, "icmp", openFlow(lab, flow46, "icmp", 4000), { echoReply: false })),
  ),
  row("INBOUND_NO_SESSION", "another remote port", (lab) =>
    buildPacket(fromRemote(flow46, "udp", openFlow(lab, flow46, "udp", 4000), { sourcePort: 8081 })),
  ),
  row("INBOUND_NO_SESSION", "another remote address", (lab) =>
    buildPacket(fromRemote({ ...flow46, remote: far6 }, "udp", openFlow(lab, flow46, "udp", 4000))),
  ),
  row("HOP_LIMIT_EXPIRED", "4→6, new flow", () => out(flow46, "udp", { hops: 1 }), 1),
  row("HOP_LIMIT_EXPIRED", "4→6, TTL 0", () => out(flow46, "tcp", { hops: 0 }), 1),
  row(
    "HOP_LIMIT_EXPIRED",
    "4→6, session",
    (lab) => {
      openFlow(lab, flow46, "udp", 4000);
      return out(flow46, "udp", { hops: 1 });
    },
    1,
  ),
  row(
    "HOP_LIMIT_EXPIRED",
    "6→4",
    (lab) => buildPacket(fromRemote(flow46, "udp", openFlow(lab, flow46, "udp", 4000), { hops: 1 })),
    1,
  ),
  row("PACKET_TOO_BIG", "4→6", () => out(flow46, "udp", { payload: bytes(1453) }), 1),
  row(
    "PACKET_TOO_BIG",
    "4→6, UDP segments",
    () => out(flow46, "udp", { checksum: "partial", gsoSize: 1453, payload: bytes(4000) }),
    1,
  ),
  row("PACKET_TOO_BIG", "4→4 with DF", () => out(flow44, "udp", { payload: bytes(1473) }), 1),
  row("PACKET_TOO_BIG", "6→6", () => out(flow66, "udp", { payload: bytes(1453) }), 1),
  row(
    "PACKET_TOO_BIG",
    "6→4, more than IPv4 can hold",
    (lab) => {
      const outer = openFlow(lab, flow46, "tcp", 4000);
      return buildPacket(
        fromRemote(flow46, "tcp", outer, { checksum: "partial", gsoSize: 1400, payload: bytes(65_496) }),
      );
    },
    1,
  ),
  row("DNS_RATE_LIMITED", "the second question of a second", (lab) => {
    lab.configure({ dns: true, dnsRate: 1 });
    const question = out(flow44, "udp", { destinationPort: 53 });
    assert.equal(lab.push([question]).questions.length, 1);
    return question;
  }),
  row("OUTPUT_FULL", "a super-packet of many questions", (lab) => {
    lab.configure({ dns: true });
    const details = { destinationPort: 53, checksum: "partial", gsoSize: 10, payload: bytes(3850) } as const;
    return out(flow44, "udp", details);
  }),
];

/** An IPv6 Pod to what stands behind a NAT64 prefix. */
function nat64Rows(): readonly Row[] {
  const wellKnown = "64:ff9b::/96";
  const behind = (reason: Name, prefix: string, seen: string, name: string) =>
    row(reason, `${name}: ${seen}`, (lab) => {
      lab.configure({ nat64: prefix, dualStack: false });
      return out({ ...flow64, seen }, "udp");
    });
  return [
    ...[
      ...["10.9.9.9", "100.64.0.1", "100.127.255.254", "172.16.0.1", "172.31.255.254", "192.0.0.1"],
      ...["192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.254", "198.51.100.1"],
      ...["203.0.113.1", "10.1.9.9"],
    ].map((host) => behind("NAT64_NOT_GLOBAL", wellKnown, `64:ff9b::${host}`, "well-known prefix")),
    ...["0.0.0.0", "127.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255"].map((host) =>
      behind("DESTINATION_NOT_FORWARDABLE", wellKnown, `64:ff9b::${host}`, "well-known prefix"),
    ),
    ...["127.0.0.1", "224.0.0.1", "10.244.50.7"].map((host) =>
      behind("DESTINATION_NOT_FORWARDABLE", nat64, `2001:db8:64::${host}`, "own prefix"),
    ),
    behind("DESTINATION_INTERNAL", nat64, "2001:db8:64::10.1.9.9", "own prefix"),
    behind("DESTINATION_NOT_FORWARDABLE", "2001:db8::/32", "2001:db8:b00:1::1", "bits behind the address"),
    behind("DESTINATION_NOT_FORWARDABLE", "2001:db8:100::/40", "2001:db8:10b:0:100::", "bits 64 to 71"),
    behind(
      "DESTINATION_NOT_FORWARDABLE",
      "2001:db8:1:2::/64",
      "2001:db8:1:2:b::100",
      "bits behind the address",
    ),
    behind("DUAL_STACK_DISABLED", nat64, "2001:db8:65::11.0.0.1", "beside the prefix"),
    row("DUAL_STACK_DISABLED", "NAT64 address without NAT64", (lab) => {
      lab.configure({ nat64: undefined, dualStack: false });
      return out(flow64, "udp");
    }),
    row("SNAT_ADDRESS_MISSING", "NAT64, no IPv4 address", (lab) => {
      lab.configure({ pool: [poolEntry(snat6)] });
      return out(flow64, "tcp");
    }),
    row("TCP_NO_SESSION", "NAT64, ACK", () => out(flow64, "tcp", { tcpFlags: ACK })),
    row("UDP_CHECKSUM_MISSING", "NAT64, from outside in fragments", (lab) => {
      const outer = openFlow(lab, flow64, "udp", 4000);
      const details = { checksum: "none", payload: bytes(40) } as const;
      return inPieces(buildPacket(fromRemote(flow64, "udp", outer, details)), [24], 1).slice(0, 1);
    }),
    row("FRAGMENT_UNSUPPORTED", "NAT64, echo request", () => {
      const echo = out(flow64, "icmp");
      return piece(echo, { more: true, data: icmpOf(echo) });
    }),
    row("HOP_LIMIT_EXPIRED", "NAT64, new flow", () => out(flow64, "udp", { hops: 1 }), 1),
    row(
      "HOP_LIMIT_EXPIRED",
      "NAT64, from outside",
      (lab) => buildPacket(fromRemote(flow64, "udp", openFlow(lab, flow64, "udp", 4000), { hops: 1 })),
      1,
    ),
    row("PACKET_TOO_BIG", "NAT64", () => out(flow64, "udp", { payload: bytes(1473) }), 1),
    row(
      "PACKET_TOO_BIG",
      "NAT64, from outside with DF",
      (lab) =>
        buildPacket(fromRemote(flow64, "udp", openFlow(lab, flow64, "udp", 4000), { payload: bytes(1453) })),
      1,
    ),
  ];
}

/** ICMP errors about the first packet of a session, each wrong in one thing. */
function icmpErrors(): readonly Row[] {
  const scene = (lab: Lab, side: Side, protocol: Protocol = "udp") => setScene(lab, side, protocol, 4000);
  /** Bytes of the quote changed, `length` of them left. */
  const quote = (
    reason: Name,
    side: Side,
    name: string,
    changes: Readonly<Record<number, number>>,
    length?: number,
    protocol: Protocol = "udp",
  ) =>
    row(reason, `${side.name}: ${name}`, (lab) => {
      const made = scene(lab, side, protocol);
      const body = made.quote.slice(0, length);
      for (const [at, value] of Object.entries(changes)) body[Number(at)] = value;
      return made.error({ body });
    });
  const elsewhere = (side: Side, source: string, destination: string) =>
    row("ICMP_ERROR_NO_SESSION", `${side.name}: to another address than the quote's`, (lab) =>
      scene(lab, side).error({ source, destination }),
    );
  const [, , in44, out44, in66, out66] = sides as [Side, Side, Side, Side, Side, Side];
  const rows = (["in", "out"] as const).flatMap((way) => {
    const [four, six] = way === "in" ? [in44, in66] : [out44, out66];
    const pod = way === "in" ? { 4: 15, 6: 23, port: 0 } : { 4: 19, 6: 39, port: 2 };
    const cross = way === "in" ? side64 : side46;
    const at = cross.from === 4 ? 20 : 40;
    return [
      quote("ICMP_QUOTE_INVALID", four, "of another IP version", { 0: 0x65 }),
      quote("ICMP_QUOTE_INVALID", four, "header of 16 bytes", { 0: 0x44 }),
      quote("ICMP_QUOTE_INVALID", four, "header beyond the quote", { 0: 0x4f }),
      quote("ICMP_QUOTE_INVALID", four, "total length below the header's", { 2: 0, 3: 19 }),
      quote("ICMP_QUOTE_INVALID", four, "total length without transport header", { 2: 0, 3: 27 }),
      quote("ICMP_QUOTE_INVALID", four, "19 bytes", {}, 19),
      quote("ICMP_QUOTE_INVALID", four, "7 bytes of the transport header", {}, 27),
      quote("ICMP_QUOTE_INVALID", four, "nothing", {}, 0),
      quote("ICMP_QUOTE_INVALID", four, "ICMPv6", { 9: 58 }),
      quote("ICMP_QUOTE_INVALID", four, "another ICMP error", { 20: 3 }, undefined, "icmp"),
      quote("ICMP_QUOTE_INVALID", six, "of another IP version", { 0: 0x45 }),
      quote("ICMP_QUOTE_INVALID", six, "39 bytes", {}, 39),
      quote("ICMP_QUOTE_INVALID", six, "7 bytes of the transport header", {}, 47),
      quote("ICMP_QUOTE_INVALID", six, "payload length without transport header", { 4: 0, 5: 7 }),
      quote("ICMP_QUOTE_INVALID", six, "ICMPv4", { 6: 1 }),
      quote("ICMP_QUOTE_INVALID", six, "extension headers beyond the quote", { 6: 60, 41: 200 }),
      quote("ICMP_QUOTE_INVALID", six, "extension header cut off", { 6: 43 }, 44),
      quote("ICMP_QUOTE_INVALID", six, "fragment header cut off", { 6: 44 }, 44),
      quote("ICMP_QUOTE_INVALID", six, "another ICMP error", { 40: 1 }, undefined, "icmp"),
      quote("ICMP_ERROR_NO_SESSION", four, "SCTP", { 9: 132 }),
      quote("ICMP_ERROR_NO_SESSION", six, "no next header", { 6: 59 }),
      quote("ICMP_ERROR_NO_SESSION", four, "a later fragment", { 7: 1 }),
      quote("ICMP_ERROR_NO_SESSION", four, "of another Pod, or from another address", { [pod[4]]: 77 }),
      quote("ICMP_ERROR_NO_SESSION", six, "of another Pod, or from another address", { [pod[6]]: 77 }),
      quote("ICMP_ERROR_NO_SESSION", cross, "another port of ours", { [at + pod.port]: 1 }),
      quote("ICMP_ERROR_NO_SESSION", cross, "another remote port", { [at + (pod.port ^ 2)]: 1 }),
      quote("ICMP_ERROR_NO_SESSION", cross, "another protocol", { [cross.from === 4 ? 9 : 6]: 6 }),
      row("ICMP_QUOTE_INVALID", `${cross.name}: wrong checksum of the error`, (lab) =>
        withBytes(scene(lab, cross).error(), { [at + 2]: 0xab }),
      ),
      row("HOP_LIMIT_EXPIRED", `${cross.name}: ICMP error`, (lab) => scene(lab, cross).error({ hops: 1 })),
    ];
  });
  return [
    ...rows,
    elsewhere(side46, flow46.pod, "10.244.50.8"),
    elsewhere(out44, flow44.pod, "192.0.2.81"),
    elsewhere(out66, flow66.pod, "2001:db8:99::81"),
    row("SOURCE_NOT_INTERNAL", "ICMP error of nobody inside", (lab) =>
      scene(lab, side46).error({ source: "10.2.0.1" }),
    ),
    row("SOURCE_NOT_INTERNAL", "ICMP error past the pool", (lab) =>
      scene(lab, in66).error({ source: outerRouter6, destination: "2001:db8:5::10" }),
    ),
    ...[side64, side46].map((side) =>
      row("ICMP_TYPE_UNSUPPORTED", `${side.name}: error without a counterpart`, (lab) =>
        scene(lab, side).error({ type: side.from === 4 ? 12 : 4, code: 3 }),
      ),
    ),
  ];
}

describe("drops", () => {
  for (const { reason, name, packets, errors } of rows)
    test(`${reason}: ${name}`, async () => {
      const lab = await startLab();
      const dropped = packets(lab);
      // The one whose time runs out is in the engine already.
      const result = reason.endsWith("_TIMEOUT") ? lab.sweep(2001) : lab.push(dropped);
      assert.deepEqual(result.drops, { [reason]: 1 });
      assert.equal(result.outputs.length, errors);
      for (const output of result.outputs) assert.equal(decode(output).icmp === undefined, false);
    });

  test("DEVICE_REFUSED: counted by the host, once a packet", async () => {
    let refuse = false;
    const lab = await startLab({
      wrap: (device) => ({
        read: (address, length) => device.read(address, length),
        write: (address, length) => !refuse && device.write(address, length),
      }),
    });
    refuse = true;
    assert.deepEqual(lab.push([tcp4, udp6]), {
      outputs: [],
      drops: { DEVICE_REFUSED: 2 },
      questions: [],
      asked: [],
    });
    refuse = false;
    assert.equal(lab.push([tcp4]).outputs.length, 1);
  });

  test("every reason has a row", () => {
    const covered = new Set<string>([...rows.map(({ reason }) => reason), "NONE", "DEVICE_REFUSED"]);
    // Of the translator without state: test/unit/translate.
    for (const name of ["IPV4_CHECKSUM_INVALID", "SOURCE_UNMAPPED", "DESTINATION_UNMAPPED"])
      covered.add(name);
    assert.deepEqual(
      Object.keys(DropReason).filter((name) => !covered.has(name)),
      [],
    );
  });
});

describe("not dropped", () => {
  const allowed: readonly (readonly [string, Uint8Array])[] = [
    ["NAT64 of others (64:ff9b::/96)", out({ ...flow66, seen: "64:ff9b::c000:201" }, "udp")],
    [
      "4→4 without DF: the kernel fragments",
      out(flow44, "udp", { payload: bytes(3000), dontFragment: false }),
    ],
    ["4→6 at the MTU", out(flow46, "udp", { payload: bytes(1452) })],
    ["6→6 at the MTU", out(flow66, "udp", { payload: bytes(1452) })],
    ["4→4 at the MTU", out(flow44, "udp", { payload: bytes(1472) })],
    ["routing header without segments left", routing(0)],
    [
      "eight extension headers",
      out(flow66, "udp", {
        options: concat(...[60, 60, 60, 60, 60, 60, 60, 17].map((next) => extensionHeader(next, 1))),
        firstExtension: 60,
      }),
    ],
    ["SYN with ECN flags", out(flow46, "tcp", { tcpFlags: SYN | 0xc0 })],
  ];
  for (const [name, packet] of allowed)
    test(name, async () => {
      const lab = await startLab();
      const { outputs, drops } = lab.push([packet]);
      assert.deepEqual([outputs.length, drops], [1, {}]);
      decode(outputs[0]!);
    });
});
