import type { Cidr } from "../addresses.ts";
import type { RouteMtu } from "../netd/protocol.ts";
import type { NatBehaviour } from "./behaviour.ts";

/** What one worker's engine is to do; plain data, so that it passes between threads. */
export interface EngineSettings {
  /** False: nothing leaves (no egress configuration is in force). */
  readonly active: boolean;
  /** IPv6 from Pods may leave as such. */
  readonly dualStack: boolean;
  /** UDP port 53 is for the DNS proxy. */
  readonly dns: boolean;
  /** Questions a second for this worker; default 0 = any number. */
  readonly dnsRate?: number | undefined;
  /** Bytes; towards the Pods and on the external link. */
  readonly mtuInner: number;
  readonly mtuOuter: number;
  /** Prefixes of both families on either side whose MTU is another; where they lie in each other the longest counts. */
  readonly routeMtus?: readonly RouteMtu[] | undefined;
  /** Prefixes of both families that Pods' sources must belong to. */
  readonly internalNets: readonly string[];
  /** IPv4 prefixes of the DNS46 pool. */
  readonly natSubnets: readonly string[];
  /** IPv6 prefix behind which IPv4 hosts have their addresses for Pods (RFC 6052). Default: no NAT64. */
  readonly nat64?: string | undefined;
  /** The gateway's own inner addresses: sources of the ICMP errors that it originates. */
  readonly self4?: string | undefined;
  readonly self6?: string | undefined;
  /** In whose name ICMP errors of IPv6 routers reach IPv4 Pods (RFC 6791). Default: the dummy address of RFC 7600 §6. */
  readonly router4?: string | undefined;
  /** The device takes UDP super-packets: datagrams are merged on their way to it. Default false. */
  readonly coalesceUdp?: boolean | undefined;
  /** Default: defaultBehaviour. Not to be changed once there are sessions. */
  readonly behaviour?: NatBehaviour | undefined;
  readonly pool: readonly PoolEntry[];
}

export interface PoolEntry {
  readonly address: string;
  /** Where return traffic arrives: the address itself, or under automap its alias. */
  readonly inbound: string;
  readonly firstPort: number;
  readonly lastPort: number;
}

export const inactiveSettings: EngineSettings = {
  active: false,
  dualStack: false,
  dns: false,
  mtuInner: 1500,
  mtuOuter: 1500,
  internalNets: [],
  natSubnets: [],
  pool: [],
};

/** Translation without sessions (RFC 7915, 7757, 6052). */
export interface StatelessSettings {
  readonly eams: readonly { readonly v4: Cidr; readonly v6: Cidr }[];
  readonly pool6: Cidr | undefined;
  /** The translator's own addresses, sources of the ICMP errors that it originates; `own4` also is RFC 6791's. */
  readonly own4: string | undefined;
  readonly own6: string | undefined;
  /** Bytes; of the next links of each side. */
  readonly mtu4: number;
  readonly mtu6: number;
  readonly lowestIpv6Mtu: number;
}
