import { bytesToIpv6, cidrContains, formatCidr, ipv6ToBytes, isIpv4, parseCidr } from "../addresses.ts";
import { sorryIpOf } from "./cross-rules.ts";
import { egressNotes, type Note, note, poolNotes, unsupportedNotes, vlanNotes } from "./notes.ts";
import {
  type EgressResource,
  nameOf,
  type Resource,
  type SnatpoolResource,
  type VlanResource,
} from "./types.ts";

/** Where the source address of an egress packet comes from. `lists`: the nth is the nth worker's; texts as in RFC 5952. */
export type Snat =
  | { readonly kind: "automap" }
  | {
      readonly kind: "pool";
      readonly name: string;
      readonly lists: readonly (readonly string[])[];
      readonly shared: boolean;
    }
  | { readonly kind: "none" };

export interface DnsConfig {
  /** IPv4 prefix, host bits cleared. */
  readonly subnet: string;
  /** Addresses of DNS servers, at least one, in order of preference. */
  readonly upstreams: readonly string[];
  readonly sorryIp?: string;
  /** Seconds. */
  readonly maxTtl: number;
  /** Addresses at the start of `subnet` that are never handed out. */
  readonly reservedStatic: number;
  /** Queries a second; 0 = no limit. */
  readonly rateLimit: number;
}

/** The one egress of a gateway, in the gateway's own words. Plain data: equal settings are deeply equal. */
export interface EgressConfig {
  readonly name: string;
  readonly namespace: string;
  /** False: Pods' IPv6 packets are refused, but for NAT64's. */
  readonly dualStack: boolean;
  /** IPv6 prefix that stands for IPv4 hosts (RFC 6052), host bits cleared. Absent: no NAT64. */
  readonly nat64?: string;
  readonly snat: Snat;
  /** Absent: DNS is plain traffic. */
  readonly dns?: DnsConfig;
  /** With automap: the external VLANs' self IPs, IPv4 first. Empty: the external interfaces' own addresses. */
  readonly automapAddresses: readonly string[];
  readonly debugLog: boolean;
}

export type Resolution =
  | { readonly state: "active"; readonly egress: EgressConfig; readonly notes: readonly Note[] }
  /** The egress cannot be in force as long as `reason` holds; packets are refused. */
  | {
      readonly state: "waiting";
      readonly name: string;
      readonly namespace: string;
      readonly reason: string;
      readonly notes: readonly Note[];
    }
  | { readonly state: "none"; readonly notes: readonly Note[] };

/**
 * The egress that is in force, out of all resources. They come in the order in which they were first seen, which
 * decides between two F5SPKEgress (and two pools of one name) where creationTimestamp doesn't: the older wins.
 */
export function resolveEgress(resources: readonly Resource[]): Resolution {
  const [egress, ...losers] = byAge(
    resources.filter((each): each is EgressResource => each.kind === "F5SPKEgress"),
  );
  if (!egress) return { state: "none", notes: [] };
  const { name, namespace } = egress.metadata;
  const notes = [
    ...losers.map((loser) =>
      note(loser, "", `not in force: ${nameOf(egress)} is older, and a gateway has one egress`),
    ),
    ...unsupportedNotes(egress),
    ...egressNotes(egress),
  ];
  const snat = resolveSnat(egress, resources, notes);
  if ("reason" in snat) return { state: "waiting", name, namespace, reason: snat.reason, notes };
  const vlans = resources.filter(
    (each): each is VlanResource => each.kind === "F5SPKVlan" && each.metadata.namespace === namespace,
  );
  notes.push(...vlans.flatMap((vlan) => [...unsupportedNotes(vlan), ...vlanNotes(vlan)]));
  const dns = resolveDns(egress);
  const resolved: EgressConfig = {
    name,
    namespace,
    dualStack: egress.spec.dualStackEnabled,
    ...(egress.spec.nat64Enabled && { nat64: formatCidr(parseCidr(egress.spec.nat64Ipv6Subnet)) }),
    snat,
    ...(dns && { dns }),
    automapAddresses: snat.kind === "automap" ? selfIps(vlans.filter(({ spec }) => !spec.internal)) : [],
    debugLog: egress.spec.debugLogEnabled,
  };
  const conflict = addressConflict(resolved);
  if (conflict !== undefined) return { state: "waiting", name, namespace, reason: conflict, notes };
  return { state: "active", egress: resolved, notes };
}

/** Oldest first; those without a timestamp after those with one, in the order given. */
function byAge<R extends Resource>(resources: readonly R[]): R[] {
  const born = ({ metadata }: R) =>
    metadata.creationTimestamp ? Date.parse(metadata.creationTimestamp) : Number.MAX_VALUE;
  return resources.toSorted((a, b) => born(a) - born(b));
}

function resolveSnat(
  egress: EgressResource,
  resources: readonly Resource[],
  notes: Note[],
): Snat | { reason: string } {
  const { snatType, egressSnatpool: wanted } = egress.spec;
  if (snatType === "SRC_TRANS_NONE") return { kind: "none" };
  if (!wanted) return { kind: "automap" };
  const { namespace } = egress.metadata;
  const candidates = byAge(
    resources.filter(
      (each): each is SnatpoolResource => each.kind === "F5SPKSnatpool" && each.spec.name === wanted,
    ),
  );
  const [pool, ...losers] = candidates.filter(({ metadata }) => metadata.namespace === namespace);
  if (!pool) {
    const elsewhere = candidates[0] ? ` (there is one in namespace ${candidates[0].metadata.namespace})` : "";
    return {
      reason: `F5SPKSnatpool with spec.name "${wanted}" does not exist in namespace ${namespace} yet${elsewhere}`,
    };
  }
  for (const loser of losers)
    notes.push(note(loser, "spec.name", `not in force: ${nameOf(pool)} has the same spec.name and is older`));
  notes.push(...unsupportedNotes(pool), ...poolNotes(pool, egress));
  return {
    kind: "pool",
    name: wanted,
    lists: pool.spec.addressList.map((list) => list.map(canonical)),
    shared: pool.spec.sharedSnatAddressEnabled,
  };
}

function resolveDns({ spec }: EgressResource): DnsConfig | undefined {
  const { dnsNat46Enabled, dnsNat46Ipv4Subnet: subnet, dnsNat46PoolIps: upstreams } = spec;
  if (!dnsNat46Enabled || subnet === undefined || upstreams === undefined) return undefined;
  const sorryIp = sorryIpOf(spec);
  return {
    subnet: formatCidr(parseCidr(subnet)),
    upstreams: upstreams.map(canonical),
    ...(sorryIp !== undefined && { sorryIp }),
    maxTtl: spec.maxDNS46TTL,
    reservedStatic: spec.maxReservedStaticIps,
    rateLimit: spec.dnsRateLimit,
  };
}

function selfIps(vlans: readonly VlanResource[]): string[] {
  const all = [
    ...vlans.flatMap(({ spec }) => spec.selfip_v4s ?? []),
    ...vlans.flatMap(({ spec }) => spec.selfip_v6s ?? []),
  ];
  return [...new Set(all.map(canonical))];
}

/** One text for each address (RFC 5952), so that another spelling is no change. */
function canonical(address: string): string {
  return isIpv4(address) ? address : bytesToIpv6(ipv6ToBytes(address));
}

/** An address cannot both stand for a host of the other family and be a source: replies would be translated once more. */
function addressConflict({ dns, nat64, snat, automapAddresses }: EgressConfig): string | undefined {
  const sources = snat.kind === "pool" ? snat.lists.flat() : automapAddresses;
  for (const [field, prefix] of [
    ["dnsNat46Ipv4Subnet", dns?.subnet],
    ["nat64Ipv6Subnet", nat64],
  ] as const) {
    const inside = prefix && sources.find((address) => cidrContains(parseCidr(prefix), address));
    if (inside) return `the SNAT address ${inside} lies inside ${field} ${prefix}`;
  }
  return undefined;
}
