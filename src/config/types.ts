/** The custom resources as they are written; field by field they are described in deploy/crds (specification, 'Parameters'). */

export const apiVersion = "k8s.f5net.com/v1";

export const kinds = ["F5SPKEgress", "F5SPKSnatpool", "F5SPKVlan"] as const;
export type Kind = (typeof kinds)[number];

export interface ObjectMeta {
  readonly name: string;
  /** `default` where the file has none. */
  readonly namespace: string;
  /** RFC 3339; set by an API server, seldom in files. */
  readonly creationTimestamp?: string;
}

/** Where a resource was read: `line` counts from 1; 0 where it did not come from a text. */
export interface Source {
  readonly file: string;
  readonly line: number;
}

interface ResourceOf<K extends Kind, Spec> {
  readonly kind: K;
  readonly metadata: ObjectMeta;
  /** Checked, with the CRD's defaults filled in. */
  readonly spec: Spec;
  readonly source: Source;
}

export interface EgressSpec {
  readonly dualStackEnabled: boolean;
  readonly egressSnatpool?: string | null;
  readonly snatType?: "SRC_TRANS_AUTOMAP" | "SRC_TRANS_SNATPOOL" | "SRC_TRANS_NONE";
  readonly dnsNat46Enabled: boolean;
  readonly dnsNat46Ipv4Subnet?: string;
  readonly dnsNat46PoolIps?: readonly string[];
  readonly dnsNat46SorryIp?: string;
  readonly dnsNat46SorryIP?: string;
  readonly maxDNS46TTL: number;
  readonly maxReservedStaticIps: number;
  readonly dnsRateLimit: number;
  readonly dnsCacheName?: string;
  readonly nat64Enabled: boolean;
  readonly nat64Ipv6Subnet: string;
  readonly maxTmmReplicas: number;
  readonly debugLogEnabled: boolean;
  readonly vlans?: { readonly vlanList?: readonly string[]; readonly disableListedVlans: boolean };
}

export interface SnatpoolSpec {
  readonly name: string;
  readonly addressList: readonly (readonly string[])[];
  readonly sharedSnatAddressEnabled: boolean;
}

export interface VlanSpec {
  readonly name: string;
  readonly interfaces?: readonly string[];
  readonly tag: number;
  readonly internal: boolean;
  readonly selfip_v4s?: readonly string[];
  readonly prefixlen_v4?: number;
  readonly selfip_v6s?: readonly string[];
  readonly prefixlen_v6?: number;
  readonly mtu: number;
}

export type EgressResource = ResourceOf<"F5SPKEgress", EgressSpec>;
export type SnatpoolResource = ResourceOf<"F5SPKSnatpool", SnatpoolSpec>;
export type VlanResource = ResourceOf<"F5SPKVlan", VlanSpec>;
export type Resource = EgressResource | SnatpoolResource | VlanResource;

/** `F5SPKEgress spk-ingress/egress-crd`: one resource of a cluster, for messages and as a key. */
export function nameOf(resource: Resource): string {
  return `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
}
