import type { Logger } from "../log.ts";
import type { Certificates } from "../mappings/certificates.ts";
import { type Journal, openJournal } from "../mappings/journal.ts";
import { openStore, type StoreReference, storeReference } from "../mappings/open.ts";
import type { MappingStore } from "../mappings/store.ts";
import type { GatewayOptions } from "../netd/protocol.ts";

/** The store of --store with what netd has read and opened for it. Rejects as {@link openStore}. */
export async function openGatewayStore(
  { store: spec, storeFolder, redisCert, redisKey, redisCa, redisWait }: GatewayOptions,
  certificates: () => Certificates,
  log: Logger,
  phase: (phase: string) => void,
): Promise<{ readonly store: MappingStore; readonly reference: StoreReference }> {
  const options = { spec, redisWait, redisCert, redisKey, redisCa, certificates, folder: storeFolder };
  const reference = storeReference(options);
  phase(`opening the store ${reference.spec}`);
  return { store: await openStore({ ...options, log }), reference };
}

/** Of --mapping-journal; undefined without it. Rejects as {@link openJournal}. */
export async function openGatewayJournal(
  { mappings, journalFolder }: GatewayOptions,
  log: Logger,
): Promise<Journal | undefined> {
  if (mappings?.journal === undefined) return undefined;
  const { dir, slice } = mappings.journal;
  return await openJournal(dir, journalFolder ?? dir, slice, log);
}
