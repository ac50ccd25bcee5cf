import { decodeValue } from "./codec.ts";
import type { MappingStore, Place } from "./store.ts";

/**
 * The store as a claim may see it: what we have for one host is not free for another, whatever the store says. After a
 * failover it may not have it back yet.
 */
export function sparing(store: MappingStore, known: (nat4: string) => string | undefined): MappingStore {
  return {
    ...store,
    async window(nat4s, look) {
      const texts: string[] = [];
      const source = nat4s[Symbol.iterator]();
      function* noted(): Generator<string> {
        for (let next = source.next(); !next.done; next = source.next()) {
          texts.push(next.value);
          yield next.value;
        }
      }
      const spare = (place: Place, index: number): Place =>
        place.value === undefined ? { ...place, heldFor: place.heldFor ?? known(texts[index]!) } : place;
      const places = (await store.window(noted(), look)).map(spare);
      if (look === undefined || places.some(look.enough)) return places;
      // What seemed to be enough wasn't.
      for (const _ of noted());
      const read = places.length;
      const rest = await store.window(texts.slice(read));
      return [...places, ...rest.map((place, index) => spare(place, read + index))];
    },
    async claim(nat4, ...entry) {
      const host6 = known(nat4);
      const taken = host6 !== undefined && host6 !== decodeValue(entry[0])?.host6;
      return taken ? false : await store.claim(nat4, ...entry);
    },
  };
}
