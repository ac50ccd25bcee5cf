import { addressText } from "./address-form.ts";
import {
  sessionColdOffsets as cold,
  sessionLogOffsets as log,
  poolAddressOffsets as poolFields,
  sessionOffsets as session,
  tcpStates,
  virtualServers,
} from "./layout.gen.ts";
import type { EngineMemory } from "./memory.ts";

export interface SessionRecord {
  /** Of the engine's table; with the generation it names the session for as long as the engine runs. */
  readonly place: number;
  readonly generation: number;
  readonly protocol: "tcp" | "udp" | "icmp";
  /** Name of a VirtualServer. */
  readonly kind: string;
  /** Ports are host order; with ICMP the identifiers of the query, and `remotePort` 0. */
  readonly pod: string;
  readonly podPort: number;
  /** The destination that the Pod uses; with NAT64 the IPv4 host that it stands for. */
  readonly destination: string;
  readonly snat: string;
  readonly snatPort: number;
  /** The remote end on the external wire. */
  readonly remote: string;
  readonly remotePort: number;
  /** Name of a TcpState, with TCP. */
  readonly state?: string;
  /** As of the engine's last tick: up to 0.1 s old. */
  readonly ageMs: number;
  readonly idleMs: number;
}

export interface SessionTable {
  readonly max: number;
  /** Places beyond are unused as yet. */
  places(): number;
  /** Odd while the place holds a session. */
  generation(place: number): number;
  /** Code of the place's TcpState; 0 without TCP. Cheap, and only true while the generation stays. */
  tcpState(place: number): number;
  /** The place's session as a whole, or undefined: there's none, or it changed hands meanwhile. */
  read(place: number): SessionRecord | undefined;
  /** As read(), for the sessions of one inner address (`mappedBytes`) only. */
  readOf(pod: Uint32Array, place: number): SessionRecord | undefined;
}

const tcp = 6;
const protocols: Readonly<Record<number, SessionRecord["protocol"]>> = { 1: "icmp", [tcp]: "tcp", 17: "udp" };
const words = session.sizeof >> 2;
const coldWords = cold.sizeof >> 2;

/**
 * Sessions out of a running engine's memory, by the rules of assembly/core/session-log.ts. Every load is atomic: then no
 * processor may exchange them.
 */
export function openSessionTable({ buffer, layout }: EngineMemory): SessionTable {
  const memory = new Uint32Array(buffer);
  const at = (address: number) => Atomics.load(memory, address >> 2);
  const copy = new DataView(new ArrayBuffer(session.sizeof + cold.sizeof));
  const bytes = new Uint8Array(copy.buffer);

  const generation = (place: number) => at(layout.generations + place * 4);

  function tcpState(place: number): number {
    const hot = layout.sessions + place * session.sizeof;
    return byteAt(hot + session.protocol) === tcp ? byteAt(hot + session.tcpState) : 0;
  }

  function byteAt(address: number): number {
    return (at(address & ~3) >>> ((address & 3) * 8)) & 0xff;
  }

  function read(place: number): SessionRecord | undefined {
    const before = generation(place);
    if ((before & 1) === 0) return undefined;
    const hot = layout.sessions + place * session.sizeof;
    for (let i = 0; i < words; i++) copy.setUint32(i * 4, at(hot + i * 4), true);
    const apart = layout.sessionColds + place * cold.sizeof;
    for (let i = 0; i < coldWords; i++) copy.setUint32(session.sizeof + i * 4, at(apart + i * 4), true);
    const snat = outerAddress();
    return generation(place) === before && snat !== undefined ? decode(place, before, snat) : undefined;
  }

  function readOf(pod: Uint32Array, place: number): SessionRecord | undefined {
    const hot = layout.sessions + place * session.sizeof + session.innerLo;
    // The last word first: it tells Pods apart.
    for (let i = 3; i >= 0; i--) if (at(hot + i * 4) !== pod[i]) return undefined;
    const found = read(place);
    return found !== undefined && isPod(pod) ? found : undefined;
  }

  function isPod(pod: Uint32Array): boolean {
    return pod.every((word, i) => copy.getUint32(session.innerLo + i * 4, true) === word);
  }

  /** Undefined when it was taken away: the session is dead then. An address stays as long as its generation. */
  function outerAddress(): string | undefined {
    const address = layout.poolAddresses + copy.getUint16(session.pool, true) * poolFields.sizeof;
    const wanted = copy.getUint16(session.sizeof + cold.poolGeneration, true);
    const text = new Uint8Array(16);
    const view = new DataView(text.buffer);
    for (let i = 0; i < 4; i++) view.setUint32(i * 4, at(address + poolFields.lo + i * 4), true);
    return at(address + poolFields.generation) === wanted ? addressText(text) : undefined;
  }

  function decode(place: number, generation: number, snat: string): SessionRecord | undefined {
    const protocol = protocols[copy.getUint8(session.protocol)];
    if (protocol === undefined) return undefined;
    const now = at(layout.sessionLog + log.nowMs);
    const since = (ms: number) => Math.max(0, (now - ms) | 0);
    const remote = addressText(bytes.slice(session.remoteLo, session.remoteLo + 16));
    const seen = bytes.subarray(session.seen4BE, session.seen4BE + 4);
    return {
      place,
      generation,
      protocol,
      kind: virtualServers[copy.getUint8(session.kind)]?.name ?? "",
      pod: addressText(bytes.slice(session.innerLo, session.innerLo + 16)),
      podPort: copy.getUint16(session.innerPortBE),
      destination: seen.every((byte) => byte === 0) ? remote : seen.join("."),
      snat,
      snatPort: copy.getUint16(session.outerPortBE),
      remote,
      remotePort: copy.getUint16(session.remotePortBE),
      ...(protocol === "tcp" && { state: tcpStates[copy.getUint8(session.tcpState)]?.name ?? "" }),
      ageMs: since(copy.getUint32(session.sizeof + cold.createdMs, true)),
      idleMs: since(copy.getUint32(session.lastSeenMs, true)),
    };
  }

  return {
    max: layout.maxSessions,
    places: () => at(layout.sessionLog + log.places),
    ...{ generation, tcpState, read, readOf },
  };
}

/** An inner address as readOf() compares it. */
export function podWords(mapped: Uint8Array): Uint32Array {
  const view = new DataView(mapped.buffer, mapped.byteOffset, 16);
  return Uint32Array.from([0, 4, 8, 12], (offset) => view.getUint32(offset, true));
}
