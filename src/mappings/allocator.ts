import { ipv6ToBytes, numberToIpv4 } from "../addresses.ts";
import { encodeValue, isValueOf } from "./codec.ts";
import { candidateAt, type Pool, probeOf, windowSize } from "./pool.ts";
import type { MappingStore, Place } from "./store.ts";

export type Allocation = { readonly kind: "mapped"; readonly nat4: string } | { readonly kind: "exhausted" };

/** As {@link Allocation}, with the stored text; `made`: by this call. */
export type Claimed =
  | { readonly kind: "mapped"; readonly nat4: string; readonly value: string; readonly made: boolean }
  | { readonly kind: "exhausted" };

/** Times of a new entry; undefined: it never ends. */
export interface LeaseTerms {
  readonly leaseS: number;
  readonly entryMs: number;
  readonly heldMs: number;
}

/**
 * Finds or claims the NAT address of `host6` (RFC 5952 text) without any coordinator but the store: the window is read
 * whole, an entry that already holds the host is the answer, else the address that is held for it, else the first free
 * one is claimed. Whoever loses that race reads again and finds what the winner wrote. Nothing outside the window is ever
 * taken, or gateways would differ. A value that is not a mapping occupies its address, and so does a host that it is held
 * for. `likely`: the host is known to have no entry, and one of the first so many addresses is free as a rule, so these
 * are read first, and the others only if none is. Rejects with EG46_STORE_UNAVAILABLE.
 */
export async function allocate(
  store: MappingStore,
  pool: Pool,
  host6: string,
  terms?: LeaseTerms,
  likely = windowSize,
): Promise<Claimed> {
  const value = encodeValue(host6, terms?.leaseS);
  const bytes = ipv6ToBytes(host6);
  const lease = terms && { host6, entryMs: terms.entryMs, heldMs: terms.heldMs };
  const isOurs = ({ value: text }: Place) => text !== undefined && isValueOf(text, bytes);
  const isFree = ({ value: text, heldFor = host6 }: Place) => text === undefined && heldFor === host6;

  const whole = Math.min(windowSize, pool.size);
  const probe = probeOf(pool, host6);
  const addresses = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => numberToIpv4(candidateAt(pool, probe, from + index)));

  let nat4s = addresses(0, Math.min(likely, whole));
  let places = await store.window(nat4s);
  // A refused claim means that the address is taken, even where the store shows no text for it (another Redis type);
  // each round adds one, so the rounds end.
  const refused = new Set<string>();
  for (;;) {
    if (places.length < whole && !places.some((place) => isFree(place) || isOurs(place))) {
      const others = addresses(places.length, whole);
      nat4s = [...nat4s, ...others];
      places = [...places, ...(await store.window(others))];
    }
    let own: string | undefined;
    let first: string | undefined;
    for (const [index, place] of places.entries()) {
      const nat4 = nat4s[index]!;
      if (place.value !== undefined) {
        if (isOurs(place)) return { kind: "mapped", nat4, value: place.value, made: false };
      } else if (!refused.has(nat4)) {
        if (place.heldFor === host6) own ??= nat4;
        else if (place.heldFor === undefined) first ??= nat4;
      }
    }
    const free = own ?? first;
    if (free === undefined) return { kind: "exhausted" };
    if (await store.claim(free, value, lease)) return { kind: "mapped", nat4: free, value, made: true };
    refused.add(free);
    nat4s = addresses(0, whole);
    places = await store.window(nat4s);
  }
}
