import type { Logger } from "../log.ts";
import type { Certificates } from "../mappings/certificates.ts";
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
