/** Packets of sessions that exist, and what must come out of them once their fragments are put together. */
import assert from "node:assert/strict";
import { decode } from "./decode.ts";
import type { Lab } from "./engine.ts";
import {
  type Flow,
  flow46,
  flow64,
  flows,
  fromPod,
  fromRemote,
  innerFamily,
  openFlow,
  outerFamily,
} from "./flows.ts";
import { reassemble } from "./fragments.ts";
import { buildPacket, familyOf, type PacketSpec, type Protocol } from "./packets.ts";
import { referenceIn, referenceOut } from "./reference.ts";

export interface Direction {
  readonly name: string;
  readonly flow: Flow;
  readonly outward: boolean;
}

export const directions: readonly Direction[] = flows.flatMap((flow) => [
  { name: flow.out, flow, outward: true },
  { name: flow.in, flow, outward: false },
]);
export const sameFamily = ({ flow }: Direction): boolean => flow.seen === flow.remote;

export interface Passage {
  readonly sent: PacketSpec;
  readonly expected: PacketSpec;
}

/** Opens a session from Pod port `port`: a packet through it. */
export function passage(
  lab: Lab,
  { flow, outward }: Direction,
  protocol: Protocol,
  port: number,
  details: Partial<PacketSpec> = {},
  nowMs = 0,
): Passage {
  const outer = openFlow(lab, flow, protocol, port, nowMs);
  const out = { address: flow.snat, port: outer };
  const inner = { address: flow.pod, port };
  const sent = outward ? fromPod(flow, protocol, port, details) : fromRemote(flow, protocol, outer, details);
  if (outward) return { sent, expected: referenceOut(sent, out, flow.remote) };
  return { sent, expected: referenceIn(sent, inner, flow.seen) };
}

/** The same kind of direction with another sender: Pod or remote end. */
export function otherSender(lab: Lab, { flow, outward, name }: Direction, number = 81): Direction {
  if (outward) {
    const pod = innerFamily(flow) === 6 ? `fd00:1::${number}` : `10.1.2.${number}`;
    return { name, outward, flow: { ...flow, pod } };
  }
  if (flow === flow46) {
    const [seen, remote] = [`10.244.50.${number}`, `2001:db8:46::${number}`];
    lab.install(seen, remote);
    return { name, outward, flow: { ...flow, seen, remote } };
  }
  const remote = outerFamily(flow) === 4 ? `192.0.2.${number}` : `2001:db8:99::${number}`;
  const seen = flow === flow64 ? `2001:db8:64::c000:2${number.toString(16)}` : remote;
  return { name, outward, flow: { ...flow, seen, remote } };
}

export const payload = (length: number, salt = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => salt + index * 7 + (index >> 8));

/** Asserts that the outputs make up these packets, each once, byte for byte; identifications may differ. */
export function checkWhole(outputs: readonly Uint8Array[], passages: readonly Passage[]): void {
  const wholes = reassemble(outputs).map((bytes) => ({ bytes, decoded: decode(bytes) }));
  assert.equal(wholes.length, passages.length, "as many packets as were sent");
  for (const { expected } of passages) {
    const found = wholes.find(({ decoded }) => Buffer.compare(decoded.payload, expected.payload) === 0);
    assert.ok(found, "a payload is missing");
    const { identification, dontFragment } = found.decoded;
    const four = familyOf(expected) === 4;
    const wanted = buildPacket({ ...expected, ...(four ? { identification, dontFragment } : {}) });
    if (Buffer.compare(found.bytes, wanted) === 0) continue;
    assert.deepEqual(found.decoded, decode(wanted));
    assert.fail("the packets differ");
  }
}
