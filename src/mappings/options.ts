import type { GatewaySlice } from "./journal.ts";
import type { MappingLife } from "./keeper.ts";

/** What `egress46 run` lets one set about mappings. */
export interface MappingOptions {
  readonly life: MappingLife;
  readonly journal?: { readonly dir: string; readonly slice: GatewaySlice };
  /** Where the built-in page for dnsNat46SorryIp is served; IPv4. */
  readonly sorryPage?: { readonly host: string; readonly port: number };
}
