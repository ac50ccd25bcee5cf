/** A packet of a session on one side of the engine, the ICMP error about it, and what the other side must then get. */
import assert from "node:assert/strict";
import { type Lab, poolEntry, snat4, snat6, startLab } from "./engine.ts";
import { type Flow, flow44, flow46, flow64, flow66, fromPod, fromRemote, only, openFlow } from "./flows.ts";
import { buildError, type DecodedError, decodeError, type ErrorSpec } from "./icmp.ts";
import { buildPacket, get16, type PacketSpec, type Protocol } from "./packets.ts";
import { VNET_BYTES } from "./vnet.ts";

/** Where the error goes: to the Pod, or outside. */
export type Way = "in" | "out";

export const outerRouter4 = "203.0.113.1";
export const outerRouter6 = "2001:db8:77::1";
/** RFC 7600 §6: what IPv4 Pods see in the place of IPv6 routers. */
export const dummyRouter4 = "192.0.0.8";
const aliases: Readonly<Record<string, string>> = { [snat4]: "192.168.46.9", [snat6]: "fd46::9" };

export async function startRelayLab(automap: boolean): Promise<Lab> {
  const lab = await startLab();
  if (automap)
    lab.configure({ pool: [snat4, snat6].map((each) => poolEntry(each, { inbound: aliases[each]! })) });
  return lab;
}

export interface Side {
  readonly flow: Flow;
  readonly way: Way;
  /** IP versions of the error before and after. */
  readonly from: 4 | 6;
  readonly to: 4 | 6;
  readonly name: string;
}
/** Every way that an error can take through the engine. */
export const sides: readonly Side[] = [
  { flow: flow46, way: "in", from: 6, to: 4, name: "6→4 to the Pod" },
  { flow: flow46, way: "out", from: 4, to: 6, name: "4→6 to the outside" },
  { flow: flow44, way: "in", from: 4, to: 4, name: "4→4 to the Pod" },
  { flow: flow44, way: "out", from: 4, to: 4, name: "4→4 to the outside" },
  { flow: flow66, way: "in", from: 6, to: 6, name: "6→6 to the Pod" },
  { flow: flow66, way: "out", from: 6, to: 6, name: "6→6 to the outside" },
  { flow: flow64, way: "in", from: 4, to: 6, name: "4→6 to the Pod" },
  { flow: flow64, way: "out", from: 6, to: 4, name: "6→4 to the outside" },
];
export const [side64, side46] = sides as [Side, Side];

export interface Scene extends Side {
  readonly outerPort: number;
  /** What the receiver of the error once sent. */
  readonly original: PacketSpec;
  /** The same as it arrived where the error arises, without virtio-net header. */
  readonly quote: Uint8Array;
  /** The error as it reaches the engine; by default a router's, or the Pod's, 'unreachable' about the whole quote. */
  error(change?: Partial<ErrorSpec>): Uint8Array;
  /** What the translated quote must be when nothing is cut off. */
  expected(change?: Partial<PacketSpec>): Uint8Array;
}

/** Opens the session of Pod port `port` and sends one packet through it. */
export function setScene(
  lab: Lab,
  side: Side,
  protocol: Protocol,
  port: number,
  options: {
    readonly details?: Partial<PacketSpec>;
    readonly automap?: boolean;
    readonly nowMs?: number;
  } = {},
): Scene {
  const { flow, way, from, to } = side;
  const arriving = options.automap ? { ...flow, snat: aliases[flow.snat]! } : flow;
  const outerPort = openFlow(lab, flow, protocol, port, options.nowMs, arriving);
  const send = way === "in" ? fromPod(flow, protocol, port, options.details) : undefined;
  const original = send ?? fromRemote(flow, protocol, outerPort, options.details);
  const handed = send ?? fromRemote(arriving, protocol, outerPort, options.details);
  // A router further on: it counted the hop limit down.
  const quote = withHops(only(lab, handed, options.nowMs).slice(VNET_BYTES), 7);
  const base =
    way === "in"
      ? { source: from === 4 ? outerRouter4 : outerRouter6, destination: arriving.snat }
      : { source: flow.pod, destination: flow.seen };
  return {
    ...side,
    outerPort,
    original,
    quote,
    error: (change = {}) =>
      buildError({ ...base, type: from === 4 ? 3 : 1, code: 0, body: quote, ...change }),
    expected(change = {}) {
      const translated = { flowLabel: 0, options: new Uint8Array(0), identification: 0 };
      const spec = { ...original, hops: 7, ...(from === to ? {} : translated), ...change };
      const bytes = buildPacket(spec).subarray(VNET_BYTES);
      if (from === to) return bytes;
      // RFC 7915 §5.1: DF by the size.
      return buildPacket({ ...spec, dontFragment: bytes.length > 1260, ...change }).subarray(VNET_BYTES);
    },
  };
}

function withHops(ip: Uint8Array, hops: number): Uint8Array {
  if (ip[0]! >> 4 === 6) ip[7] = hops;
  else {
    // RFC 1624 in the plain way: the word of TTL and protocol shrinks, the checksum grows.
    const sum = get16(ip, 10) + (ip[8]! - hops) * 256;
    ip[8] = hops;
    ip.set([((sum % 65535) >> 8) & 255, (sum % 65535) & 255], 10);
  }
  return ip;
}

/** The one error that comes out. */
export function relay(lab: Lab, error: Uint8Array, nowMs = 0): DecodedError {
  return decodeError(only(lab, error, nowMs));
}

export function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  assert.equal(Buffer.from(actual).toString("hex"), Buffer.from(expected).toString("hex"), what);
}
