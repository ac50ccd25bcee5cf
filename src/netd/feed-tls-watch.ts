import { fileSource } from "../config/observe.ts";
import { type FeedTls, readFeedTls } from "../envoy/feed-tls.ts";
import type { FeedTlsFiles } from "../envoy/options.ts";
import { Eg46Error, explain } from "../errors.ts";
import type { Logger } from "../log.ts";

/**
 * The PEM files of --envoy-feed-…, and then each new set of them until the signal aborts; one that cannot be used is
 * logged, and the one before stays. Rejects with EG46_USAGE when one cannot be used at first.
 */
export async function watchFeedTls(
  files: FeedTlsFiles | undefined,
  changed: (tls: FeedTls) => void,
  log: Logger,
  signal: AbortSignal,
): Promise<FeedTls | undefined> {
  // Its errors name the options.
  readFeedTls(files);
  if (files === undefined) return undefined;
  await fileSource([files.cert, files.key, files.ca]).start(() => {
    try {
      changed(readFeedTls(files)!);
      log.info("new TLS files of the feed for Envoy: they count from the next connection on");
    } catch (error) {
      const { message } = error as Error;
      log.error(explain(new Eg46Error("EG46_FEED_CERTIFICATES", message, { cause: error })));
    }
  }, signal);
  // They may have been replaced before they were watched.
  return readFeedTls(files);
}
