import { formatCidr, isIpv4, parseCidr } from "../addresses.ts";
import type { Schema } from "./schema.ts";
import { schemaOf } from "./schema.ts";
import {
  type EgressResource,
  nameOf,
  type Resource,
  type SnatpoolResource,
  type Source,
  type VlanResource,
} from "./types.ts";

/** Something an operator should know about a resource that is otherwise right. */
export interface Note {
  /** `F5SPKEgress spk-ingress/egress-crd` */
  readonly resource: string;
  readonly source: Source;
  /** `spec.nat64Enabled`; empty when it is about the whole resource. */
  readonly path: string;
  readonly message: string;
}

/** `F5SPKEgress spk-ingress/egress-crd: spec.nat64Enabled: message` */
export function formatNote({ resource, path, message }: Note): string {
  return `${resource}: ${path === "" ? "" : `${path}: `}${message}`;
}

export function note(resource: Resource, path: string, message: string): Note {
  return { resource: nameOf(resource), source: resource.source, path, message };
}

/** Fields that are accepted but that nothing acts on, and what happens instead. */
const notSupported: Readonly<Record<Resource["kind"], Readonly<Record<string, string>>>> = {
  F5SPKEgress: {
    dnsCacheName: "answers are not cached by that resource's settings",
    vlans: "the egress listens on every internal interface",
  },
  F5SPKSnatpool: {},
  F5SPKVlan: {
    interfaces: "the interfaces are those of --internal and --external",
    tag: "egress46 makes no VLAN devices",
    mtu: "the interface's own MTU counts",
  },
};

/** One note for each field that is set to something else than its default, without effect. */
export function unsupportedNotes(resource: Resource): Note[] {
  const properties = schemaOf(resource.kind).properties?.spec?.properties ?? {};
  return Object.entries(notSupported[resource.kind]).flatMap(([field, instead]) => {
    const value = (resource.spec as unknown as Record<string, unknown>)[field];
    const isSet = differsFromDefault(value, properties[field] ?? {});
    return isSet ? [note(resource, `spec.${field}`, `not supported yet: ${instead}`)] : [];
  });
}

function differsFromDefault(value: unknown, schema: Schema): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null)
    return Object.entries(value).some(([key, field]) =>
      differsFromDefault(field, schema.properties?.[key] ?? {}),
    );
  return value !== undefined && value !== "" && value !== schema.default;
}

/** Settings that are right by themselves, yet will surprise. */
export function egressNotes(egress: EgressResource): Note[] {
  const { dnsNat46Enabled, dnsNat46Ipv4Subnet, nat64Enabled, nat64Ipv6Subnet } = egress.spec;
  const nat64 = nat64Ipv6Subnet === defaultNat64 && !nat64Enabled ? undefined : nat64Ipv6Subnet;
  return [
    ...prefixNotes(egress, "dnsNat46Ipv4Subnet", dnsNat46Ipv4Subnet, "dnsNat46Enabled", dnsNat46Enabled),
    ...prefixNotes(egress, "nat64Ipv6Subnet", nat64, "nat64Enabled", nat64Enabled),
  ];
}

const defaultNat64 = schemaOf("F5SPKEgress").properties?.spec?.properties?.nat64Ipv6Subnet?.default;

function prefixNotes(
  egress: EgressResource,
  field: string,
  text: string | undefined,
  enabling: string,
  enabled: boolean,
): Note[] {
  if (text === undefined) return [];
  const path = `spec.${field}`;
  if (!enabled) return [note(egress, path, `has no effect while ${enabling} is false`)];
  const cidr = parseCidr(text);
  // Another spelling of the same address is no news.
  const isNetwork = parseCidr(text.split("/")[0]!).network === cidr.network;
  return isNetwork ? [] : [note(egress, path, `${text} is read as ${formatCidr(cidr)}`)];
}

export function poolNotes(pool: SnatpoolResource, egress: EgressResource): Note[] {
  const addresses = pool.spec.addressList.flat();
  const path = "spec.addressList";
  const lacks4 = !addresses.some(isIpv4);
  const lacks6 = addresses.every(isIpv4);
  return [
    ...(lacks4
      ? [note(pool, path, "has no IPv4 address: Pods' packets to IPv4 hosts are dropped for want of a SNAT")]
      : []),
    ...(lacks6 && egress.spec.dnsNat46Enabled
      ? [note(pool, path, "has no IPv6 address: nothing can be translated to IPv6 (dnsNat46Enabled)")]
      : []),
    ...(lacks6 && egress.spec.dualStackEnabled
      ? [
          note(
            pool,
            path,
            "has no IPv6 address: Pods' IPv6 packets are dropped for want of a SNAT (dualStackEnabled)",
          ),
        ]
      : []),
  ];
}

export function vlanNotes(vlan: VlanResource): Note[] {
  const { internal, selfip_v4s = [], selfip_v6s = [] } = vlan.spec;
  if (!internal || selfip_v4s.length + selfip_v6s.length === 0) return [];
  return [
    note(
      vlan,
      "spec.internal",
      "self IPs of an internal VLAN have no effect: Pods use the internal interface's own addresses",
    ),
  ];
}
