/** The kinds of flow that the engine knows, each with its two directions, for tables of tests. */
import assert from "node:assert/strict";
import { decode } from "./decode.ts";
import { far4, far6, far64, host6, type Lab, nat4, pod4, pod6, snat4, snat6 } from "./engine.ts";
import {
  buildPacket,
  familyOf,
  type PacketInput,
  type PacketSpec,
  type Protocol,
  packetSpec,
  SYN,
} from "./packets.ts";
import { referenceIn, referenceOut } from "./reference.ts";

export interface Flow {
  readonly out: string;
  readonly in: string;
  readonly pod: string;
  /** Whom the Pod speaks to, as it sees it, and as the outside does. */
  readonly seen: string;
  readonly remote: string;
  readonly snat: string;
}

export const flow46: Flow = { out: "4→6", in: "6→4", pod: pod4, seen: nat4, remote: host6, snat: snat6 };
export const flow44: Flow = {
  out: "4→4 out",
  in: "4→4 in",
  pod: pod4,
  seen: far4,
  remote: far4,
  snat: snat4,
};
export const flow66: Flow = {
  out: "6→6 out",
  in: "6→6 in",
  pod: pod6,
  seen: far6,
  remote: far6,
  snat: snat6,
};
export const flow64: Flow = {
  out: "6→4 out",
  in: "4→6 in",
  pod: pod6,
  seen: far64,
  remote: far4,
  snat: snat4,
};
export const flows = [flow46, flow44, flow66, flow64];
/** IP version on each side. */
export const innerFamily = (flow: Flow): 4 | 6 => familyOf({ source: flow.pod });
export const outerFamily = (flow: Flow): 4 | 6 => familyOf({ source: flow.remote });

type Details = Partial<PacketSpec>;
const remotePort = 8080;

/** What the Pod sends. */
export function fromPod(flow: Flow, protocol: Protocol, port: number, details: Details = {}): PacketSpec {
  return packetSpec({
    source: flow.pod,
    destination: flow.seen,
    protocol,
    sourcePort: port,
    destinationPort: protocol === "icmp" ? 0 : remotePort,
    ...details,
  });
}

/** What the remote end answers to outer port `port`. */
export function fromRemote(flow: Flow, protocol: Protocol, port: number, details: Details = {}): PacketSpec {
  return packetSpec({
    source: flow.remote,
    destination: flow.snat,
    protocol,
    sourcePort: protocol === "icmp" ? port : remotePort,
    destinationPort: protocol === "icmp" ? 0 : port,
    echoReply: protocol === "icmp",
    ...details,
  });
}

/** The one packet that came out of it; fails with the drops when there's none. */
export function only(lab: Lab, packet: Uint8Array | PacketInput, nowMs = 0): Uint8Array {
  const result = lab.push([packet], nowMs);
  assert.equal(result.outputs.length, 1, `dropped: ${JSON.stringify(result.drops)}`);
  assert.deepEqual(result.drops, {});
  return result.outputs[0]!;
}

/** Opens a session (TCP: by SYN and its answer, which comes in by `arriving`) → its outer port. */
export function openFlow(
  lab: Lab,
  flow: Flow,
  protocol: Protocol,
  port: number,
  nowMs = 0,
  arriving = flow,
): number {
  const opened = decode(only(lab, fromPod(flow, protocol, port, { tcpFlags: SYN }), nowMs));
  assert.equal(opened.source, flow.snat);
  assert.equal(opened.destination, flow.remote);
  if (protocol === "tcp")
    only(lab, fromRemote(arriving, protocol, opened.sourcePort, { tcpFlags: SYN | 16 }), nowMs);
  return opened.sourcePort;
}

export interface Expectation {
  /** Changes of what the reference says. */
  readonly expected?: Details;
  readonly mtu?: number;
}

/** Sends it out through the session with `outerPort` and compares every byte with the reference. */
export function checkOut(
  lab: Lab,
  flow: Flow,
  spec: PacketSpec,
  outerPort: number,
  hope: Expectation = {},
): void {
  const outer = { address: flow.snat, port: outerPort };
  const output = only(lab, spec);
  // The engine numbers packets itself: any identification is right.
  const { identification } = decode(output);
  const reference = referenceOut(spec, outer, flow.remote, identification, hope.mtu);
  same(output, { ...reference, ...hope.expected });
}

export function checkIn(
  lab: Lab,
  flow: Flow,
  spec: PacketSpec,
  innerPort: number,
  hope: Expectation = {},
): void {
  const inner = { address: flow.pod, port: innerPort };
  const output = only(lab, spec);
  const { identification } = decode(output);
  const reference = referenceIn(spec, inner, flow.seen, identification, hope.mtu);
  same(output, { ...reference, ...hope.expected });
}

function same(output: Uint8Array, expected: PacketSpec): void {
  const wanted = buildPacket(expected);
  if (Buffer.compare(output, wanted) === 0) return;
  assert.deepEqual(decode(output), decode(wanted));
  assert.fail("the packets differ");
}
