import { isIpv4, parseCidr } from "../addresses.ts";
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
    nat64Enabled: "IPv6 Pods do not reach IPv4 hosts",
    nat64Ipv6Subnet: "IPv6 Pods do not reach IPv4 hosts",
    maxTmmReplicas: "every gateway uses the whole dnsNat46Ipv4Subnet and shares the mapping store",
    dnsRateLimit: "queries are not limited",
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
  const { dnsNat46Enabled, dnsNat46Ipv4Subnet: subnet } = egress.spec;
  if (subnet === undefined) return [];
  const path = "spec.dnsNat46Ipv4Subnet";
  if (!dnsNat46Enabled) return [note(egress, path, "has no effect while dnsNat46Enabled is false")];
  const { network, prefixLength } = parseCidr(subnet);
  const prefix = `${network}/${prefixLength}`;
  return prefix === subnet ? [] : [note(egress, path, `${subnet} is read as ${prefix}`)];
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
