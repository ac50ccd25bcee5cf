import { decodeValue } from "./codec.ts";
import type { MappingStore } from "./store.ts";

/**
 * The store as a claim may see it: what we have for one host is not free for another, whatever the store says. After a
 * failover it may not have it back yet.
 */
export function sparing(store: MappingStore, known: (nat4: string) => string | undefined): MappingStore {
  return {
    ...store,
    async window(nat4s) {
      const places = await store.window(nat4s);
      return places.map((place, index) =>
        place.value === undefined ? { ...place, heldFor: place.heldFor ?? known(nat4s[index]!) } : place,
      );
    },
    async claim(nat4, ...entry) {
      const host6 = known(nat4);
      const taken = host6 !== undefined && host6 !== decodeValue(entry[0])?.host6;
      return taken ? false : await store.claim(nat4, ...entry);
    },
  };
}
