/**
 * Many established 4→6 flows: packets as a Pod sends them, and the sessions that an engine made for them, read off its
 * output. A packet is 64 bytes with a payload of zeros behind a virtio-net header; only its headers are kept.
 */
import { ipv4ToNumber, ipv6ToBytes, numberToIpv4 } from "../../src/addresses.ts";
import { createEngine, type Engine, type EngineSizes } from "../../src/engine/engine.ts";
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { addressBytes, onesSum } from "../../test/support/packets.ts";

export type FlowProtocol = "tcp" | "udp";

/** Virtio-net, IPv4 and TCP header (UDP: and 12 bytes of payload), in words. */
export const headerWords = 13;
export const packetBytes = 12 + 64;
export const mtu = 1500;
const nat4 = "10.244.50.7";
const host6 = "2001:db8:46::80";
const remotePort = 8080;
const flowsOfPod = 4000;
const firstPort = 10_000;
const poolSize = 64;
export const pool = Array.from({ length: poolSize }, (_, n) => `2001:db8:5::${(n + 1).toString(16)}`);

export interface Flows {
  readonly engine: Engine;
  readonly protocol: FlowProtocol;
  readonly count: number;
  /** `headerWords` a flow, in a random order. */
  readonly packets: Uint32Array;
  /** 16 words each, from the second on; the `session` of translate.c without its links. */
  readonly sessions: Uint32Array;
}

/** The words of flow `i`'s packet. */
export function headersOf(protocol: FlowProtocol, i: number, syn: boolean): Uint32Array {
  const bytes = new Uint8Array(headerWords * 4);
  const view = new DataView(bytes.buffer);
  const ip = 12;
  const transport = ip + 20;
  view.setUint16(ip, 0x4500);
  view.setUint16(ip + 2, 64);
  view.setUint16(ip + 6, 0x4000);
  bytes.set([61, protocol === "tcp" ? 6 : 17], ip + 8);
  bytes.set(addressBytes(numberToIpv4(ipv4ToNumber("10.1.0.1") + Math.floor(i / flowsOfPod))), ip + 12);
  bytes.set(addressBytes(nat4), ip + 16);
  view.setUint16(ip + 10, onesSum(bytes.subarray(ip, transport)) ^ 0xffff);
  view.setUint16(transport, firstPort + (i % flowsOfPod));
  view.setUint16(transport + 2, remotePort);
  if (protocol === "tcp") view.setUint16(transport + 12, 0x5000 | (syn ? 2 : 16));
  else view.setUint16(transport + 4, 44);
  const pseudo = 44 + (protocol === "tcp" ? 6 : 17);
  const sum = onesSum(bytes.subarray(ip + 12), Uint8Array.of(pseudo >> 8, pseudo & 255)) ^ 0xffff;
  view.setUint16(transport + (protocol === "tcp" ? 16 : 6), sum);
  return new Uint32Array(bytes.buffer);
}

/** An engine that lets 10.1.0.0/16 out, by `addresses`. */
export async function startEngine(addresses: readonly string[], sizes?: EngineSizes): Promise<Engine> {
  const engine = await createEngine(sizes);
  engine.configure({
    active: true,
    dualStack: false,
    dns: true,
    mtuInner: mtu,
    mtuOuter: mtu,
    internalNets: ["10.1.0.0/16"],
    natSubnets: ["10.244.50.0/24"],
    self4: "10.1.255.254",
    pool: addresses.map((address) => ({ address, inbound: address, firstPort: 1024, lastPort: 65535 })),
  });
  engine.installMapping(ipv4ToNumber(nat4), ipv6ToBytes(host6), 0);
  return engine;
}

/** Opens them in a new engine. */
export async function openFlows(protocol: FlowProtocol, count: number): Promise<Flows> {
  const engine = await startEngine(pool);
  const packets = new Uint32Array(count * headerWords);
  const sessions = new Uint32Array((count + 1) * 16);
  for (const [place, i] of shuffled(count).entries()) {
    packets.set(headersOf(protocol, i, false), place * headerWords);
    const opener = headersOf(protocol, i, true);
    writeSession(
      sessions.subarray((place + 1) * 16, (place + 2) * 16),
      opener,
      pass(engine, opener, packetBytes),
    );
  }
  return { engine, protocol, count, packets, sessions };
}

/** One packet through the engine → what came out; throws when nothing did. Payload: what the slot holds. */
export function pass(engine: Engine, headers: Uint32Array, length: number): Uint8Array {
  const { words, bytes, layout, exports } = engine;
  const place = layout.receiveRing >> 2;
  const address = words[place + (descriptorOffsets.address >> 2)]!;
  bytes.fill(0, address, address + length);
  words.set(headers, address >> 2);
  words[place + (descriptorOffsets.length >> 2)] = length;
  const count = exports.process(1, 1);
  if (count !== 1) throw new Error(`${count} packets came out of the engine where one should`);
  const out = layout.transmitRing >> 2;
  const from = words[out + (descriptorOffsets.address >> 2)]!;
  const output = bytes.slice(from, from + words[out + (descriptorOffsets.length >> 2)]!);
  exports.written();
  return output;
}

function writeSession(session: Uint32Array, packet: Uint32Array, output: Uint8Array): void {
  const six = new Uint32Array(output.buffer, 12, 11);
  const inner = new Uint8Array(packet.buffer, 12 + 12, 8);
  session[0] = packet[6]!;
  session[1] = packet[7]!;
  session[2] = packet[8]!;
  session[3] = ((packet[5]! >>> 8) & 255) | ((six[10]! & 0xffff) << 16);
  session.set(six.subarray(6, 10), 4);
  session.set(six.subarray(2, 6), 8);
  const delta = onesSum(output.subarray(20, 52), invert(inner));
  session[13] = (delta >> 8) | ((delta & 255) << 8);
}

const invert = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 255);

/** 0 … count-1 in a random order, the same each time. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let state = 46;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** The key of the references' hash tables. */
export const hashKey = 0x46e6_1234_9abc_def1n;
