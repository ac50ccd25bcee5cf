import { Eg46Error, hasCode } from "../errors.ts";
import { createEngine, type EngineSizes } from "./engine.ts";
import { limitsOffsets } from "./layout.gen.ts";
import type { EngineMemory } from "./memory.ts";

/** What `egress46 run` sets of sessions, once; what is left out stays as assembly/core/limits.ts has it. */
export interface EngineOptions {
  readonly sizes: EngineSizes;
  readonly limits: EngineLimits;
}

/** Times in milliseconds. */
export type EngineLimits = Partial<
  Readonly<
    Record<
      | "udpMs"
      | "tcpEstablishedMs"
      | "tcpTransitoryMs"
      | "tcpSynMs"
      | "icmpMs"
      | "holdDownMs"
      /** Sessions that a Pod may have; 0 = any number. */
      | "podSessions",
      number
    >
  >
>;

/** Between batches, or before the first. Sessions that exist go on. */
export function applyLimits({ buffer, layout }: EngineMemory, limits: EngineLimits): void {
  const view = new DataView(buffer);
  for (const [name, value] of Object.entries(limits))
    view.setUint32(layout.limits + limitsOffsets[name as keyof EngineLimits], value, true);
}

/** Beside which the room for mappings is told. */
const fewSessions = 1024;

/**
 * Rejects with EG46_USAGE, naming what would fit, when an engine's memory has no room for the tables. The engine itself
 * is asked: nobody else knows what its tables take.
 */
export async function checkSizes(sizes: EngineSizes): Promise<void> {
  if (await fits(sizes)) return;
  const { maxSessions, maxMappings, dnsCache = 0 } = sizes;
  const cache = dnsCache > 0 ? ` --dns-cache ${dnsCache >> 10}K` : "";
  const sessions = await largest((n) => fits({ ...sizes, maxSessions: n }), maxSessions);
  const room =
    sessions > 0
      ? `beside ${maxMappings} mappings there is room for ${sessions} sessions`
      : `${maxMappings} mappings alone are too many: there is room for ${await largest((n) => fits({ ...sizes, maxSessions: fewSessions, maxMappings: n }), maxMappings)} beside ${fewSessions} sessions`;
  throw new Eg46Error(
    "EG46_USAGE",
    `--max-sessions ${maxSessions} --max-mappings ${maxMappings}${cache}: a worker's memory is too small for that; ${room}`,
  );
}

async function fits(sizes: EngineSizes): Promise<boolean> {
  try {
    await createEngine(sizes);
    return true;
  } catch (error) {
    if (hasCode(error, "EG46_ENGINE")) return false;
    throw error;
  }
}

/** The largest thousand below `tooMany` that fits; 0 = none. */
async function largest(fits: (n: number) => Promise<boolean>, tooMany: number): Promise<number> {
  let low = 0;
  let high = Math.ceil(tooMany / 1000);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (await fits(middle * 1000)) low = middle;
    else high = middle;
  }
  return low * 1000;
}
