import { ipv4ToNumber } from "../addresses.ts";
import { heldPrefix } from "./record-keys.ts";
import type { RecordStore } from "./store.ts";

/** Who the store holds free addresses for, as far as known here: for the time that it can't be asked. */
export interface Resting {
  /** A leased entry of the host ended; its address is held for so long at most. */
  ended(nat4: number, host6: string, heldMs: number): void;
  /** Notes all that the store has, also those of living entries. Rejects with EG46_STORE_UNAVAILABLE. */
  load(records: RecordStore, heldMs: number): Promise<void>;
  /** Whether the address is another host's. */
  keeps(nat4: number, host6: string): boolean;
}

export function createResting(): Resting {
  const holds = new Map<number, { readonly host6: string; readonly untilMs: number }>();

  function ended(nat4: number, host6: string, heldMs: number): void {
    holds.set(nat4, { host6, untilMs: performance.now() + heldMs });
  }

  return {
    ended,
    async load(records, heldMs) {
      const now = performance.now();
      for (const [nat4, { untilMs }] of holds) if (untilMs <= now) holds.delete(nat4);
      for await (const [key, host6] of records.list(heldPrefix))
        ended(ipv4ToNumber(key.slice(heldPrefix.length)), host6, heldMs);
    },
    keeps(nat4, host6) {
      const hold = holds.get(nat4);
      return hold !== undefined && hold.host6 !== host6 && performance.now() < hold.untilMs;
    },
  };
}
