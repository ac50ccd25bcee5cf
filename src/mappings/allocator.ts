import { numberToIpv4 } from "../addresses.ts";
import { decodeValue, encodeValue } from "./codec.ts";
import { type Pool, windowOf } from "./pool.ts";
import type { MappingStore } from "./store.ts";

export type Allocation = { readonly kind: "mapped"; readonly nat4: string } | { readonly kind: "exhausted" };

/**
 * Finds or claims the NAT address of `host6` (RFC 5952 text) without any coordinator but the store: the window is read
 * whole, an entry that already holds the host is the answer, else the first free address is claimed. Whoever loses that
 * race reads again and finds what the winner wrote. Nothing outside the window is ever taken, or gateways would differ.
 * A value that is not a mapping occupies its address. Rejects with EG46_STORE_UNAVAILABLE.
 */
export async function allocate(store: MappingStore, pool: Pool, host6: string): Promise<Allocation> {
  const nat4s = windowOf(pool, host6).map(numberToIpv4);
  const value = encodeValue(host6);
  // A refused claim means that the address is taken, even where the store shows no text for it (another Redis type);
  // each round adds one, so the rounds end.
  const refused = new Set<string>();
  for (;;) {
    const stored = await store.getMany(nat4s);
    const held = stored.findIndex((text) => text !== undefined && decodeValue(text)?.host6 === host6);
    if (held >= 0) return { kind: "mapped", nat4: nat4s[held]! };
    const free = nat4s.find((nat4, index) => stored[index] === undefined && !refused.has(nat4));
    if (free === undefined) return { kind: "exhausted" };
    if (await store.claim(free, value)) return { kind: "mapped", nat4: free };
    refused.add(free);
  }
}
