/**
 * What the engine must make of a packet, said once more in the plainest words: RFC 7915 §4.1, §5.1 for the headers, the
 * binding for addresses and ports. buildPacket then computes lengths and checksums anew.
 */
import { familyOf, type PacketSpec } from "./packets.ts";

/** The end that changes: as the outside sees the Pod, or the other way round. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** From a Pod to `host`. `identification` is what the engine chose, where the choice is its own. */
export function referenceOut(
  spec: PacketSpec,
  outer: End,
  host: string,
  identification = 0,
  mtu = 1500,
): PacketSpec {
  const ends = { source: outer.address, sourcePort: outer.port, destination: host };
  return passed(spec, ends, identification, mtu);
}

/** From outside to a Pod that knows the sender as `seen`. */
export function referenceIn(
  spec: PacketSpec,
  inner: End,
  seen: string,
  identification = 0,
  mtu = 1500,
): PacketSpec {
  // An ICMP echo has one identifier; the builder keeps it in sourcePort.
  const port = spec.protocol === "icmp" ? { sourcePort: inner.port } : { destinationPort: inner.port };
  return passed(spec, { source: seen, destination: inner.address, ...port }, identification, mtu);
}

type Ends = Pick<PacketSpec, "source" | "destination"> & Partial<PacketSpec>;

function passed(spec: PacketSpec, ends: Ends, identification: number, mtu: number): PacketSpec {
  const [from, to] = [familyOf(spec), familyOf(ends)];
  if (from === to) {
    const header = (to === 6 ? 40 : 20) + spec.options.length;
    return { ...spec, ...ends, ...segment(spec, mtu, header) };
  }
  return to === 6 ? header46(spec, ends, mtu) : header64(spec, ends, identification, mtu);
}

function header46(spec: PacketSpec, ends: Ends, mtu: number): PacketSpec {
  return {
    ...spec,
    ...ends,
    hops: spec.hops - 1,
    flowLabel: 0,
    identification: 0,
    options: new Uint8Array(0),
    // §4.5: IPv6 has no UDP without a checksum; the kernel completes it.
    checksum: spec.checksum === "none" ? "partial" : spec.checksum,
    ...segment(spec, mtu, 40),
  };
}

function header64(spec: PacketSpec, ends: Ends, identification: number, mtu: number): PacketSpec {
  const transport = spec.protocol === "tcp" ? 20 + spec.tcpOptions.length : 8;
  // Of a UDP super-packet each datagram counts; TCP segments are made to fit.
  const single = spec.gsoSize ?? spec.payload.length;
  const small = 20 + transport + single <= 1260 && !(spec.protocol === "tcp" && spec.gsoSize !== undefined);
  return {
    ...spec,
    ...ends,
    hops: spec.hops - 1,
    flowLabel: 0,
    dontFragment: !small,
    identification: small ? identification : 0,
    options: new Uint8Array(0),
    ...segment(spec, mtu, 20),
  };
}

/** TCP segments are made to fit; UDP segment boundaries mean something to the receiver and stay. */
function segment(spec: PacketSpec, mtu: number, header: number): { gsoSize?: number } {
  if (spec.gsoSize === undefined || spec.protocol !== "tcp") return {};
  return { gsoSize: Math.min(spec.gsoSize, mtu - header - 20 - spec.tcpOptions.length) };
}
