import type { EngineLayout } from "./engine.ts";
import { countersOffsets, dropReasons, Path, paths, VirtualServer } from "./layout.gen.ts";

/** One engine's counters, read from its shared memory while it runs. */
export interface EngineCounters {
  readonly drops: readonly number[];
  readonly packets: readonly number[];
  readonly bytes: readonly number[];
  /** By VirtualServer: ever made, alive. */
  readonly connections: readonly number[];
  readonly alive: readonly number[];
}

export function readCounters(buffer: ArrayBufferLike, layout: EngineLayout): EngineCounters {
  const read = (address: number, count: number) =>
    Array.from(new BigUint64Array(buffer, address, count), (value) => Number(value));
  const servers = Object.keys(VirtualServer).length;
  return {
    drops: read(layout.dropCounters, dropReasons.length),
    packets: read(layout.packetCounters, paths.length),
    bytes: read(layout.byteCounters, paths.length),
    connections: read(layout.counters + countersOffsets.connections0, servers),
    alive: read(layout.counters + countersOffsets.alive0, servers),
  };
}

/** Sum over workers. */
export function addCounters(all: readonly EngineCounters[]): EngineCounters {
  const add = (pick: (counters: EngineCounters) => readonly number[], length: number) =>
    Array.from({ length }, (_, index) =>
      all.reduce((sum, counters) => sum + (pick(counters)[index] ?? 0), 0),
    );
  const servers = Object.keys(VirtualServer).length;
  return {
    drops: add((c) => c.drops, dropReasons.length),
    packets: add((c) => c.packets, Object.keys(Path).length),
    bytes: add((c) => c.bytes, Object.keys(Path).length),
    connections: add((c) => c.connections, servers),
    alive: add((c) => c.alive, servers),
  };
}
