import type { EngineLayout } from "./engine.ts";

/** One engine's shared memory, for readers in other threads: they never stop its worker. */
export interface EngineMemory {
  readonly buffer: ArrayBufferLike;
  readonly layout: EngineLayout;
}
