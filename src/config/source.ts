import type { Snapshot } from "./observe.ts";

/**
 * Port: where the text of the configuration comes from. Files that this process reads itself (`fileSource` of
 * observe.ts), or what netd reads for a gateway that may read none (src/gateway/netd-link.ts).
 */
export interface ConfigSource {
  /** Resolves with what is there now; then `listener` gets the whole after each settled change, until the abort. */
  start(listener: (snapshot: Snapshot) => void, signal: AbortSignal): Promise<Snapshot>;
}
