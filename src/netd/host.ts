import type { EnvoyOptions } from "../envoy/options.ts";

/** Routing table and firewall mark of worker 0; worker n has + n. */
export const workerTable = 4600;

/** What netd knows of the host when it decides. Names are interface names. */
export interface Host {
  readonly internal: readonly string[];
  readonly external: readonly string[];
  readonly internalNets: readonly string[];
  /** Index = worker. */
  readonly tuns: readonly string[];
  /** Prefixes on the internal interfaces. */
  readonly connected: readonly { readonly device: string; readonly net: string }[];
  readonly ipv6: boolean;
  /** Envoy is the data plane: there are no TUNs. */
  readonly envoy?: EnvoyOptions | undefined;
}
