import ipaddr from "ipaddr.js";
import { cidrContains, ipv4ToNumber, parseCidr } from "../addresses.ts";
import { type Fault, formatPath, type Path } from "./problem.ts";
import type { EgressSpec, Kind, SnatpoolSpec, VlanSpec } from "./types.ts";

/** What fields of one resource mean together. `spec` has passed the schema and every value rule. */
export function checkTogether(kind: Kind, spec: unknown): Fault[] {
  switch (kind) {
    case "F5SPKEgress":
      return [...dns46Faults(spec as EgressSpec), ...snatFaults(spec as EgressSpec)];
    case "F5SPKSnatpool":
      return repeated(
        (spec as SnatpoolSpec).addressList.flatMap((list, n) =>
          list.map((address, i) => ({ address, path: ["spec", "addressList", n, i] })),
        ),
      );
    case "F5SPKVlan": {
      const { selfip_v4s = [], selfip_v6s = [] } = spec as VlanSpec;
      return [
        ...repeated(selfip_v4s.map((address, i) => ({ address, path: ["spec", "selfip_v4s", i] }))),
        ...repeated(selfip_v6s.map((address, i) => ({ address, path: ["spec", "selfip_v6s", i] }))),
      ];
    }
  }
}

/** The address a client gets when the pool is exhausted, in whichever spelling. */
export function sorryIpOf(spec: EgressSpec): string | undefined {
  return spec.dnsNat46SorryIp ?? spec.dnsNat46SorryIP;
}

function dns46Faults(spec: EgressSpec): Fault[] {
  const faults: Fault[] = [];
  const fault = (path: Path, message: string) => faults.push({ path: ["spec", ...path], message });
  const { dnsNat46Ipv4Subnet: subnet, dnsNat46PoolIps: upstreams = [] } = spec;

  if (spec.dnsNat46Enabled && subnet === undefined)
    fault(["dnsNat46Ipv4Subnet"], "is missing; dnsNat46Enabled needs an IPv4 prefix such as 10.244.50.0/24");
  if (spec.dnsNat46Enabled && upstreams.length === 0)
    fault(["dnsNat46PoolIps"], "is missing; dnsNat46Enabled needs the address of at least one DNS server");
  if (spec.dnsNat46SorryIp !== undefined && spec.dnsNat46SorryIP !== undefined)
    if (spec.dnsNat46SorryIp !== spec.dnsNat46SorryIP)
      fault(
        ["dnsNat46SorryIP"],
        `expected ${spec.dnsNat46SorryIp} as in dnsNat46SorryIp, got ${spec.dnsNat46SorryIP}`,
      );
  faults.push(
    ...repeated(upstreams.map((address, i) => ({ address, path: ["spec", "dnsNat46PoolIps", i] }))),
  );
  if (subnet === undefined) return faults;

  const cidr = parseCidr(subnet);
  const size = 2 ** (32 - cidr.prefixLength);
  if (spec.maxReservedStaticIps >= size)
    fault(
      ["maxReservedStaticIps"],
      `expected less than the ${size} addresses of ${subnet}, got ${spec.maxReservedStaticIps}`,
    );
  upstreams.forEach((address, i) => {
    if (cidrContains(cidr, address))
      fault(
        ["dnsNat46PoolIps", i],
        `expected a DNS server outside dnsNat46Ipv4Subnet ${subnet}, got ${address}`,
      );
  });
  const sorry = sorryIpOf(spec);
  // Among the reserved addresses it may lead, by an entry made by hand, to an IPv6 host.
  if (sorry !== undefined && cidrContains(cidr, sorry))
    if (ipv4ToNumber(sorry) - ipv4ToNumber(cidr.network) >= spec.maxReservedStaticIps)
      fault(
        [spec.dnsNat46SorryIp === undefined ? "dnsNat46SorryIP" : "dnsNat46SorryIp"],
        `expected an address that is never handed out for a host, outside ${subnet} or among its first maxReservedStaticIps, got ${sorry}`,
      );
  return faults;
}

function snatFaults({ snatType, egressSnatpool, dnsNat46Enabled, nat64Enabled }: EgressSpec): Fault[] {
  const named = egressSnatpool !== undefined && egressSnatpool !== null && egressSnatpool !== "";
  if (snatType === "SRC_TRANS_SNATPOOL" && !named)
    return [
      {
        path: ["spec", "egressSnatpool"],
        message: "is missing; snatType SRC_TRANS_SNATPOOL needs a pool's spec.name",
      },
    ];
  const faults: Fault[] = [];
  const path = ["spec", "snatType"];
  if ((snatType === "SRC_TRANS_AUTOMAP" || snatType === "SRC_TRANS_NONE") && named)
    faults.push({
      path,
      message: `expected SRC_TRANS_SNATPOOL (or no snatType) as egressSnatpool is set, got ${snatType}`,
    });
  if (snatType === "SRC_TRANS_NONE" && dnsNat46Enabled)
    faults.push({
      path,
      message:
        "expected a SNAT as dnsNat46Enabled is true (an IPv4 Pod has no IPv6 source), got SRC_TRANS_NONE",
    });
  if (snatType === "SRC_TRANS_NONE" && nat64Enabled)
    faults.push({
      path,
      message: "expected a SNAT as nat64Enabled is true (an IPv6 Pod has no IPv4 source), got SRC_TRANS_NONE",
    });
  return faults;
}

/** Every address that stands there a second time, in whatever spelling. */
function repeated(entries: readonly { address: string; path: Path }[]): Fault[] {
  const first = new Map<string, Path>();
  const faults: Fault[] = [];
  for (const { address, path } of entries) {
    const key = ipaddr.parse(address).toNormalizedString();
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, path);
    else
      faults.push({
        path,
        message: `expected an address that is listed once, got ${address}, which is ${formatPath(earlier)} too`,
      });
  }
  return faults;
}
