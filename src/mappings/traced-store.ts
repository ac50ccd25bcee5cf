/** A store that tells what an allocation reads and claims in it, for `egress46 dig`. */
import type { Trace } from "../trace.ts";
import { decodeValue } from "./codec.ts";
import type { MappingStore } from "./store.ts";

/** Candidates that are told one by one; of the others, how many. */
const told = 8;

export function tracedStore(store: MappingStore, trace: Trace): MappingStore {
  return {
    ...store,
    async getMany(nat4s) {
      const values = await store.getMany(nat4s);
      for (const [index, nat4] of nat4s.slice(0, told).entries())
        trace("candidate", { nat4, holds: holds(values[index]) });
      const more = nat4s.length - told;
      if (more > 0) {
        const free = values.slice(told).filter((value) => value === undefined).length;
        trace("candidate", { more, free });
      }
      return values;
    },
    async claim(...args) {
      const made = await store.claim(...args);
      trace("SETNX", { nat4: args[0], made });
      return made;
    },
  };
}

function holds(value: string | undefined): string {
  return value === undefined ? "nothing" : (decodeValue(value)?.host6 ?? "no mapping");
}
