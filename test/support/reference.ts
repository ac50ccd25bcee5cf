/**
 * What the engine must make of a packet, said once more in the plainest words: RFC 7915 §4.1, §5.1 for the headers, the
 * binding for addresses and ports. buildPacket then computes lengths and checksums anew.
 */
import type { PacketSpec } from "./packets.ts";

/** The end that changes: as the outside sees the Pod, or the other way round. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** IPv4 from a Pod → IPv6 to `host`. */
export function reference46(spec: PacketSpec, outer: End, host: string, mtu = 1500): PacketSpec {
  return {
    ...spec,
    source: outer.address,
    sourcePort: outer.port,
    destination: host,
    hops: spec.hops - 1,
    flowLabel: 0,
    identification: 0,
    options: new Uint8Array(0),
    // §4.5: IPv6 has no UDP without a checksum; the kernel completes it.
    checksum: spec.checksum === "none" ? "partial" : spec.checksum,
    ...segment(spec, mtu, 40),
  };
}

/** IPv6 from outside → IPv4 from `seen` to the Pod. */
export function reference64(
  spec: PacketSpec,
  inner: End,
  seen: string,
  identification: number,
  mtu = 1500,
): PacketSpec {
  const transport = spec.protocol === "tcp" ? 20 + spec.tcpOptions.length : 8;
  const small = 20 + transport + spec.payload.length <= 1260 && spec.gsoSize === undefined;
  return {
    ...spec,
    source: seen,
    destination: inner.address,
    ...destinationPort(spec, inner),
    hops: spec.hops - 1,
    flowLabel: 0,
    dontFragment: !small,
    identification: small ? identification : 0,
    options: new Uint8Array(0),
    ...segment(spec, mtu, 20),
  };
}

export function referenceOut(spec: PacketSpec, outer: End, mtu = 1500): PacketSpec {
  return { ...spec, source: outer.address, sourcePort: outer.port, ...segment(spec, mtu, ipHeader(spec)) };
}

export function referenceIn(spec: PacketSpec, inner: End, mtu = 1500): PacketSpec {
  return {
    ...spec,
    destination: inner.address,
    ...destinationPort(spec, inner),
    ...segment(spec, mtu, ipHeader(spec)),
  };
}

/** An ICMP echo has one identifier; the builder keeps it in sourcePort. */
function destinationPort(spec: PacketSpec, inner: End): Partial<PacketSpec> {
  return spec.protocol === "icmp" ? { sourcePort: inner.port } : { destinationPort: inner.port };
}

const ipHeader = (spec: PacketSpec) => (spec.source.includes(":") ? 40 : 20) + spec.options.length;

/** TCP segments are made to fit; UDP segment boundaries mean something to the receiver and stay. */
function segment(spec: PacketSpec, mtu: number, header: number): { gsoSize?: number } {
  if (spec.gsoSize === undefined || spec.protocol !== "tcp") return {};
  return { gsoSize: Math.min(spec.gsoSize, mtu - header - 20 - spec.tcpOptions.length) };
}
