/**
 * What waits for a reply, by the ID of its question. Not a Map: V8 keeps what a Map that is filled and emptied all the
 * time held once until the next full collection, each table alive by the one before.
 */
import { random16 } from "./random-bits.ts";

export interface IdTable<T extends { readonly id: number }> {
  /**
   * Random, not in use, and not the client's own: a question that comes back to us must be told apart. At most half of
   * the table may be in use.
   */
  freeId(clientId: number): number;
  add(item: T): void;
  get(id: number): T | undefined;
  /** False where `item` is not in. */
  delete(item: T): boolean;
  items(): T[];
  readonly size: number;
}

/** `places`: a power of two, twice as many as there may be items. */
export function createIdTable<T extends { readonly id: number }>(places: number): IdTable<T> {
  const table: (T | undefined)[] = new Array(places).fill(undefined);
  const mask = places - 1;
  let size = 0;
  return {
    freeId(clientId) {
      for (;;) {
        const id = random16();
        if (id !== clientId && table[id & mask] === undefined) return id;
      }
    },
    add(item) {
      table[item.id & mask] = item;
      size++;
    },
    get(id) {
      const item = table[id & mask];
      return item?.id === id ? item : undefined;
    },
    delete(item) {
      if (table[item.id & mask] !== item) return false;
      table[item.id & mask] = undefined;
      size--;
      return true;
    },
    items: () => table.filter((item) => item !== undefined),
    get size() {
      return size;
    },
  };
}
