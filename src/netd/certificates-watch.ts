import { fileSource, type Snapshot } from "../config/observe.ts";
import { Eg46Error, explain } from "../errors.ts";
import type { Logger } from "../log.ts";
import {
  type CertificateFiles,
  type Certificates,
  checkCertificates,
  readCertificates,
} from "../mappings/certificates.ts";

/**
 * The PEM files of --redis-…, and then each new set of them until the signal aborts; one that cannot be used is logged,
 * and the one before stays. Rejects with EG46_USAGE when one cannot be read at first.
 */
export async function watchCertificates(
  files: CertificateFiles,
  changed: (certificates: Certificates) => void,
  log: Logger,
  signal: AbortSignal,
): Promise<Certificates> {
  const { redisCert, redisKey, redisCa } = files;
  const paths = [redisCert, redisKey, redisCa].filter((path) => path !== undefined);
  // Its errors name the options.
  const first = readCertificates(files);
  if (paths.length === 0) return first;
  await fileSource(paths).start((snapshot) => {
    try {
      const next = {
        cert: contentOf(snapshot, redisCert),
        key: contentOf(snapshot, redisKey),
        ca: contentOf(snapshot, redisCa),
      };
      checkCertificates(next);
      changed(next);
      log.info("new TLS files of the mapping store: they count from the next connection on");
    } catch (error) {
      const { message } = error as Error;
      log.error(explain(new Eg46Error("EG46_STORE_CERTIFICATES", message, { cause: error })));
    }
  }, signal);
  // They may have been replaced before they were watched.
  return readCertificates(files);
}

function contentOf(snapshot: Snapshot, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  const observation = snapshot.get(path);
  if (observation === undefined) throw new Error(`${path} cannot be read`);
  if ("fault" in observation) throw new Error(`${path} ${observation.fault}`);
  return Buffer.from(observation.bytes);
}
