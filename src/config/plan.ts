import { isDeepStrictEqual } from "node:util";
import type { DnsConfig, EgressConfig, Snat } from "./resolve.ts";

/** Entries of an ordered list that came and went; both empty when only the order is another. */
export interface ListChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

interface ValueChange<T> {
  readonly from: T;
  readonly to: T;
}

/** One thing that is different. New values not given here are in the new configuration. */
export type Change =
  | { readonly what: "egress"; readonly action: "start" | "stop" }
  /** Another resource, or the same renamed: sessions and mappings are not concerned. */
  | ({ readonly what: "identity" } & ValueChange<string>)
  | ({ readonly what: "dualStack" | "debugLog" } & ValueChange<boolean>)
  | ({ readonly what: "nat64" } & ValueChange<string | undefined>)
  | ({ readonly what: "snatKind" } & ValueChange<Snat["kind"]>)
  /** The name alone: the addresses are a change of their own. */
  | ({ readonly what: "snatPoolName" } & ValueChange<string>)
  /** `shared` or the addresses' order or split over workers may be the only difference. */
  | ({ readonly what: "snatPool" | "automapAddresses" } & ListChange)
  | { readonly what: "dns"; readonly action: "start" | "stop" }
  | ({ readonly what: "dnsUpstreams" } & ListChange)
  | ({ readonly what: "dnsSubnet" } & ValueChange<string>)
  | ({ readonly what: "dnsSorryIp" } & ValueChange<string | undefined>)
  | ({ readonly what: "dnsMaxTtl" | "dnsReservedStatic" | "dnsRateLimit" } & ValueChange<number>);

/**
 * What must be done to get from `old` to `next`; undefined = no egress in force. Equal configurations give [].
 * A start or stop stands for all of its parts.
 */
export function planChange(old: EgressConfig | undefined, next: EgressConfig | undefined): Change[] {
  if (!old || !next) return old === next ? [] : [{ what: "egress", action: next ? "start" : "stop" }];
  const identity = ({ namespace, name }: EgressConfig) => `${namespace}/${name}`;
  return [
    ...value("identity", identity(old), identity(next)),
    ...value("dualStack", old.dualStack, next.dualStack),
    ...value("nat64", old.nat64, next.nat64),
    ...planSnat(old.snat, next.snat),
    ...list("automapAddresses", old.automapAddresses, next.automapAddresses),
    ...planDns(old.dns, next.dns),
    ...value("debugLog", old.debugLog, next.debugLog),
  ];
}

function planSnat(old: Snat, next: Snat): Change[] {
  const addresses = (snat: Snat) => (snat.kind === "pool" ? snat.lists.flat() : []);
  const arrangement = (snat: Snat) => (snat.kind === "pool" ? [snat.lists, snat.shared] : []);
  return [
    ...value("snatKind", old.kind, next.kind),
    ...(old.kind === "pool" && next.kind === "pool" ? value("snatPoolName", old.name, next.name) : []),
    ...(isDeepStrictEqual(arrangement(old), arrangement(next))
      ? []
      : [{ what: "snatPool" as const, ...difference(addresses(old), addresses(next)) }]),
  ];
}

function planDns(old: DnsConfig | undefined, next: DnsConfig | undefined): Change[] {
  if (!old || !next) return old === next ? [] : [{ what: "dns", action: next ? "start" : "stop" }];
  return [
    ...list("dnsUpstreams", old.upstreams, next.upstreams),
    ...value("dnsSubnet", old.subnet, next.subnet),
    ...value("dnsSorryIp", old.sorryIp, next.sorryIp),
    ...value("dnsMaxTtl", old.maxTtl, next.maxTtl),
    ...value("dnsReservedStatic", old.reservedStatic, next.reservedStatic),
    ...value("dnsRateLimit", old.rateLimit, next.rateLimit),
  ];
}

function value<W extends string, T>(what: W, from: T, to: T): ({ what: W } & ValueChange<T>)[] {
  return from === to ? [] : [{ what, from, to }];
}

function list<W extends string>(
  what: W,
  old: readonly string[],
  next: readonly string[],
): ({ what: W } & ListChange)[] {
  return isDeepStrictEqual(old, next) ? [] : [{ what, ...difference(old, next) }];
}

function difference(old: readonly string[], next: readonly string[]): ListChange {
  const [before, after] = [new Set(old), new Set(next)];
  return {
    added: [...after].filter((each) => !before.has(each)),
    removed: [...before].filter((each) => !after.has(each)),
  };
}

/** `snatPool: +2001:db8::2 -2001:db8::1`, one line for the log. */
export function formatChange(change: Change): string {
  if ("action" in change) return `${change.what}: ${change.action}`;
  if ("from" in change) return `${change.what}: ${change.from} -> ${change.to}`;
  const { what, added, removed } = change;
  const moves = [...added.map((each) => `+${each}`), ...removed.map((each) => `-${each}`)];
  return `${what}: ${moves.length > 0 ? moves.join(" ") : "same addresses, arranged otherwise"}`;
}
