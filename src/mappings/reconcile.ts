import { numberToIpv4 } from "../addresses.ts";
import type { Logger } from "../log.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import { assertMapping, type Conflict } from "./rescue.ts";
import type { MappingStore } from "./store.ts";

const batchSize = 200;

/**
 * What was given out while the store was away goes into it before anything else is believed: resolves once the journal
 * is empty, rejects with EG46_STORE_UNAVAILABLE. Who calls meanwhile waits for the same.
 */
export function createReconcile({
  journal,
  store,
  keeper,
  lost,
  log,
}: {
  readonly journal: Journal | undefined;
  readonly store: MappingStore;
  readonly keeper: Keeper;
  /** Another host has the address in the store. */
  readonly lost: (found: Conflict) => void;
  readonly log: Logger;
}): () => Promise<void> {
  let underWay: Promise<void> | undefined;

  const entries = () => journal?.entries() ?? [];

  async function storeAll(): Promise<void> {
    const all = [...entries()];
    while (all.length > 0) await Promise.all(all.splice(0, batchSize).map(storeOne));
  }

  async function storeOne(entry: JournalEntry): Promise<void> {
    const { nat4, host6 } = entry;
    const stored = await assertMapping(store, entry, keeper, lost);
    await journal?.settled(nat4);
    if (stored)
      log.info(`${numberToIpv4(nat4)} for ${host6}, given out while it was away, is in ${store.name} now`);
  }

  return async () => {
    if (underWay === undefined && entries().length === 0) return;
    underWay ??= storeAll().finally(() => {
      underWay = undefined;
    });
    await underWay;
  };
}
