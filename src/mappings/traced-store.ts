/** A store that tells what an allocation reads and claims in it, for `egress46 dig`. */
import type { Trace } from "../trace.ts";
import { decodeValue } from "./codec.ts";
import type { MappingStore } from "./store.ts";

/** Candidates that are told one by one; of the others, how many. */
const told = 8;

export function tracedStore(store: MappingStore, trace: Trace): MappingStore {
  return {
    ...store,
    async window(nat4s) {
      const places = await store.window(nat4s);
      for (const [index, { value, heldFor }] of places.slice(0, told).entries())
        trace("candidate", {
          nat4: nat4s[index]!,
          holds: holds(value),
          ...(heldFor !== undefined && { heldFor }),
        });
      const others = places.slice(told);
      if (others.length > 0) {
        const free = others.filter(
          ({ value, heldFor }) => value === undefined && heldFor === undefined,
        ).length;
        trace("candidate", { more: others.length, free });
      }
      return places;
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
