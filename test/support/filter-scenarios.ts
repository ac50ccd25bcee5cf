/**
 * What becomes of a Pod's connection: one list, which test/unit/filter runs on the proxy-wasm host of src/proxy-wasm and
 * test/e2e on the real Envoy. Settings and mappings are the same in both.
 */
import { farHost, peerPort } from "./envoy-scene.ts";
import { labAddresses, podAddresses } from "./topology.ts";

const { web, snatPool } = labAddresses;

export const scenarioPod = podAddresses(0);
/** By NAT address. */
export const scenarioMappings: Readonly<Record<string, string>> = {
  "10.244.50.10": farHost(1),
  "10.244.50.11": farHost(2),
  // By hand, outside the subnet.
  "10.144.175.220": farHost(3),
};
/** Was there once. */
export const deletedMapping = ["10.244.50.12", farHost(4)] as const;

export interface Scenario {
  readonly name: string;
  readonly pod?: string;
  readonly to: string;
  /** `host` absent: as dialled. */
  readonly expect:
    | { readonly server: string; readonly snat: string; readonly host?: string }
    | { readonly reason: string };
  /** What Envoy's host never lets through to it. */
  readonly hostOnly?: boolean;
}

const nat46 = { server: "egress-ipv4-nat46", snat: snatPool.ipv6[0] };

export const scenarios: readonly Scenario[] = [
  { name: "NAT address", to: "10.244.50.10", expect: { ...nat46, host: farHost(1) } },
  { name: "another one", to: "10.244.50.11", expect: { ...nat46, host: farHost(2) } },
  {
    name: "mapping by hand outside the subnet",
    to: "10.144.175.220",
    expect: { ...nat46, host: farHost(3) },
  },
  { name: "NAT address without a mapping", to: "10.244.50.99", expect: { reason: "MAPPING_UNKNOWN" } },
  { name: "deleted mapping", to: deletedMapping[0], expect: { reason: "MAPPING_UNKNOWN" } },
  { name: "IPv4 host", to: web.v4only, expect: { server: "egress-ipv4", snat: snatPool.ipv4[0] } },
  {
    name: "IPv6 host",
    pod: scenarioPod.ipv6,
    to: farHost(5),
    expect: { server: "egress-ipv6", snat: snatPool.ipv6[0] },
  },
  { name: "link-local IPv4", to: "169.254.1.1", expect: { reason: "DESTINATION_NOT_FORWARDABLE" } },
  { name: "another Pod", to: "10.244.1.11", expect: { reason: "DESTINATION_INTERNAL" }, hostOnly: true },
  { name: "multicast", to: "224.0.0.251", expect: { reason: "DESTINATION_NOT_FORWARDABLE" }, hostOnly: true },
  {
    name: "link-local IPv6",
    pod: scenarioPod.ipv6,
    to: "fe80::1",
    expect: { reason: "DESTINATION_NOT_FORWARDABLE" },
    hostOnly: true,
  },
  {
    name: "from elsewhere",
    pod: "192.0.2.1",
    to: "10.244.50.10",
    expect: { reason: "SOURCE_NOT_INTERNAL" },
    hostOnly: true,
  },
];

export const endpoint = (address: string, port: number = peerPort) =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
