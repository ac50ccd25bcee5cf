/** Takes a packet apart and asserts that all its lengths, checksums and offload fields agree. */
import assert from "node:assert/strict";
import { bytesToIpv6 } from "../../src/addresses.ts";
import {
  checksumField,
  get16,
  onesSum,
  type PacketSpec,
  type Protocol,
  protocolNumber,
  pseudoHeader,
  vnetOf,
} from "./packets.ts";
import { readVnet, VNET_BYTES, type Vnet } from "./vnet.ts";

export interface Decoded extends PacketSpec {
  readonly vnet: Vnet;
  /** Protocol number; ICMP errors have a `type` and `code` too. */
  readonly icmp: { readonly type: number; readonly code: number; readonly body: Uint8Array } | undefined;
}

const protocols: Readonly<Record<number, Protocol>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmp" };
const extensions = new Set([0, 43, 60]);

export function decode(packet: Uint8Array): Decoded {
  const ip = packet.subarray(VNET_BYTES);
  const header = ip[0]! >> 4 === 4 ? ipv4(ip) : ipv6(ip);
  const protocol = protocols[header.protocol];
  assert.ok(protocol, `protocol ${header.protocol}`);
  const transport = ip.subarray(header.length);
  const vnet = readVnet(packet);
  const partial = vnet.flags === 1;
  const field = checksumField[protocol];
  const pseudo = pseudoHeader(header.source, header.destination, transport.length, header.protocol);
  const none = protocol === "udp" && get16(transport, field) === 0;
  if (none) assert.equal(header.family, 4, "UDP without a checksum exists in IPv4 only");
  else if (partial) assert.equal(get16(transport, field), onesSum(pseudo), "pseudo-header sum");
  else assert.equal(onesSum(pseudo, transport), 0xffff, `${protocol} checksum`);
  const headerLength = protocol === "tcp" ? (transport[12]! >> 4) * 4 : 8;
  if (protocol === "udp") assert.equal(get16(transport, 4), transport.length, "UDP length");
  const spec: PacketSpec = {
    ...header,
    protocol,
    sourcePort: get16(transport, protocol === "icmp" ? 4 : 0),
    destinationPort: protocol === "icmp" ? 0 : get16(transport, 2),
    payload: transport.slice(headerLength),
    checksum: none ? "none" : partial ? "partial" : "complete",
    ...(vnet.gsoType === 0 ? {} : { gsoSize: vnet.gsoSize }),
    tcpFlags: protocol === "tcp" ? transport[13]! : 0,
    tcpOptions: protocol === "tcp" ? transport.slice(20, headerLength) : new Uint8Array(0),
    echoReply: protocol === "icmp" && (transport[0] === 0 || transport[0] === 129),
  };
  assert.deepEqual(
    { ...vnet, gsoType: vnet.gsoType & 0x7f },
    vnetOf(spec, header.length),
    "virtio-net header",
  );
  const icmp =
    protocol === "icmp" ? { type: transport[0]!, code: transport[1]!, body: transport.slice(4) } : undefined;
  return { ...spec, vnet, icmp };
}

function ipv4(ip: Uint8Array) {
  const length = (ip[0]! & 15) * 4;
  assert.equal(get16(ip, 2), ip.length, "IPv4 total length");
  assert.equal(onesSum(ip.subarray(0, length)), 0xffff, "IPv4 header checksum");
  assert.equal(get16(ip, 6) & 0xbfff, 0, "no fragment");
  return {
    family: 4,
    length,
    protocol: ip[9]!,
    source: ip.subarray(12, 16).join("."),
    destination: ip.subarray(16, 20).join("."),
    hops: ip[8]!,
    tos: ip[1]!,
    flowLabel: 0,
    identification: get16(ip, 4),
    dontFragment: (ip[6]! & 0x40) !== 0,
    options: ip.slice(20, length),
    firstExtension: 0,
  };
}

function ipv6(ip: Uint8Array) {
  assert.equal(get16(ip, 4) + 40, ip.length, "IPv6 payload length");
  let next = ip[6]!;
  let length = 40;
  while (extensions.has(next)) {
    next = ip[length]!;
    length += (ip[length + 1]! + 1) * 8;
  }
  assert.notEqual(next, protocolNumber.icmp4);
  return {
    family: 6,
    length,
    protocol: next,
    source: bytesToIpv6(ip.subarray(8, 24)),
    destination: bytesToIpv6(ip.subarray(24, 40)),
    hops: ip[7]!,
    tos: ((ip[0]! & 15) << 4) | (ip[1]! >> 4),
    flowLabel: ((ip[1]! & 15) << 16) | get16(ip, 2),
    identification: 0,
    dontFragment: true,
    options: ip.slice(40, length),
    firstExtension: length > 40 ? ip[6]! : 0,
  };
}
