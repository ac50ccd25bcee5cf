import { setImmediate as turn } from "node:timers/promises";
import { sessionOffsets as session, sessionLogOffsets as sessionLog, VirtualServer } from "./layout.gen.ts";
import type { EngineMemory } from "./memory.ts";

/** Places between two turns of the event loop: about a millisecond. */
const slice = 65_536;

/**
 * The NAT IPv4 addresses (host order) that sessions of these engines go to now. Plain loads: a place that changes hands
 * meanwhile shows its old or its new address, and either was in use a moment ago.
 */
export async function addressesInUse(memories: readonly EngineMemory[]): Promise<Set<number>> {
  const inUse = new Set<number>();
  for (const { buffer, layout } of memories) {
    const words = new Uint32Array(buffer);
    const bytes = new Uint8Array(buffer);
    const places = Atomics.load(words, (layout.sessionLog + sessionLog.places) >> 2);
    for (let place = 0; place < places; place++) {
      if (place % slice === slice - 1) await turn();
      if ((words[(layout.generations >> 2) + place]! & 1) === 0) continue;
      const at = layout.sessions + place * session.sizeof;
      if (bytes[at + session.kind] !== VirtualServer.EGRESS_IPV4_NAT46) continue;
      const wire = words[(at + session.seen4BE) >> 2]!;
      inUse.add(
        (((wire & 0xff) << 24) | ((wire & 0xff00) << 8) | ((wire >>> 8) & 0xff00) | (wire >>> 24)) >>> 0,
      );
    }
  }
  return inUse;
}
