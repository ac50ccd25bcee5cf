import type { Snapshot } from "../config/observe.ts";
import type { DnsPolicy } from "../dns/policy.ts";
import type { UpstreamOptions } from "../dns/upstream-options.ts";
import type { NatBehaviour } from "../engine/behaviour.ts";
import type { EngineOptions } from "../engine/options.ts";
import type { FeedTls } from "../envoy/feed-tls.ts";
import type { EnvoyOptions } from "../envoy/options.ts";
import type { ErrorCode } from "../errors.ts";
import type { Certificates } from "../mappings/certificates.ts";
import type { MappingOptions } from "../mappings/options.ts";
import type { RedisWait } from "../mappings/redis-replication.ts";

/**
 * What netd (privileged) and the gateway (unprivileged) say to each other over the IPC channel of the spawn.
 * The gateway inherits one TUN descriptor per worker and the descriptor channel; both are named in {@link HostFacts}.
 */

/** What netd found out and set up before the gateway starts; sent again whenever it changes (addresses, MTUs, routes). */
export interface HostFacts {
  /** TUN devices, index = worker; `fd` is its number in the gateway process, `uso`: takes UDP super-packets. */
  readonly tuns: readonly { readonly name: string; readonly fd: number; readonly uso: boolean }[];
  /** Prefixes that Pods' sources must belong to. */
  readonly internalNets: readonly string[];
  readonly internal: readonly InterfaceFacts[];
  readonly external: readonly InterfaceFacts[];
  /** The host's own sources towards the default routes of the external interfaces, in the kernel's order. */
  readonly defaultSources: readonly string[];
  /** Prefixes that the kernel reaches with another MTU than the interfaces above have, longest first; no more than an engine takes. */
  readonly routeMtus: readonly RouteMtu[];
  /** How many more there are. Absent: none. */
  readonly routeMtusLeftOut?: number;
  /** Ports that automap may use: no socket of the host, not its ephemeral range. Inclusive. Absent: there are none. */
  readonly automapPorts?: readonly [first: number, last: number] | undefined;
  /** Where the descriptors of `dns-sockets` messages arrive (`receiveDescriptors` of src/dataplane/descriptor-passing.ts). */
  readonly descriptorChannel: number;
}

/** A socket that netd opened for DNS on port 53. TCP ones listen already and accept for any destination address. */
export interface DnsSocket {
  readonly transport: "tcp" | "udp";
  readonly family: 4 | 6;
  /** The internal interface that it is bound to: nobody reaches it from elsewhere. */
  readonly device: string;
  /** The gateway's own address, or the wildcard address (`0.0.0.0`, `::`) with TCP. */
  readonly address: string;
}

export interface InterfaceFacts {
  readonly name: string;
  readonly mtu: number;
  /** Global-scope addresses with prefix lengths, `10.0.0.1/24`, in the kernel's order. */
  readonly addresses: readonly string[];
}

export interface RouteMtu {
  readonly to: string;
  readonly mtu: number;
}

/** The whole desired network state; netd makes the difference to what is there, guard first, each step undoable. */
export interface NetworkPlan {
  /** Pods are spread over the first n TUNs by source address. */
  readonly workers: number;
  /** Prefixes of DNS46 and NAT64: they reach the TUN even from inside an internal network. */
  readonly natSubnets: readonly string[];
  /** Return traffic: host routes to the worker's TUN, and neighbour proxies on the external interfaces. */
  readonly snatPool: readonly { readonly address: string; readonly worker: number }[];
  /** Of these addresses of `snatPool` every worker has a part of the ports. */
  readonly shared?: SharedPorts | undefined;
  /** Return traffic to an address of the host itself: destination rewritten to an alias that is routed to the TUN. */
  readonly automap: readonly AutomapRoute[];
  /** Take over TCP port 53 of the internal side. (UDP port 53 arrives through the TUN.) */
  readonly dnsIntercept: boolean;
  /** With Envoy as the data plane; `snatPool` is then what the host has itself. */
  readonly envoy?: EnvoyPlan | undefined;
}

export interface EnvoyPlan {
  /** Source addresses that Envoy has a cluster for. */
  readonly sources: readonly string[];
  /** DNS of Pods goes to Envoy's listener. */
  readonly dns: boolean;
}

export interface SharedPorts {
  readonly addresses: readonly string[];
  readonly slices: readonly {
    readonly worker: number;
    readonly ports: readonly [first: number, last: number];
  }[];
}

export interface AutomapRoute {
  readonly address: string;
  readonly alias: string;
  readonly worker: number;
  readonly ports: readonly [first: number, last: number];
}

/** What only netd may read: the gateway's user has no access to files but its own. */
export interface FileContents {
  /** Of `files`. */
  readonly config: Snapshot;
  readonly certificates: Certificates;
  readonly feedTls?: FeedTls | undefined;
  /** PEM: whose certificates of DNS upstreams count. */
  readonly dnsTlsCa?: Uint8Array | undefined;
}

export type ToGateway =
  | {
      readonly type: "start";
      readonly facts: HostFacts;
      readonly options: GatewayOptions;
      readonly contents: FileContents;
    }
  | { readonly type: "facts"; readonly facts: HostFacts }
  /** A settled change of the files. */
  | { readonly type: "config"; readonly snapshot: Snapshot }
  /** New files for the store's TLS, checked: for the connections to come. */
  | { readonly type: "certificates"; readonly certificates: Certificates }
  /** The same for the feed's. */
  | { readonly type: "feed-tls"; readonly feedTls: FeedTls }
  /** To be answered by 'pong' while packets and DNS can be served. */
  | { readonly type: "ping" }
  /**
   * The whole set of DNS sockets, replacing the set before: open these, then close the old ones. When it isn't empty,
   * one message with as many descriptors in the same order already waits in the descriptor channel. Sent before the
   * 'planned' of a plan whose `dnsIntercept` needs it, and again when internal addresses change.
   */
  | { readonly type: "dns-sockets"; readonly sockets: readonly DnsSocket[] }
  /** Answer to a plan; `error` is the text of the step that failed (earlier steps of the plan are undone). */
  | {
      readonly type: "planned";
      readonly id: number;
      readonly error?: string;
      readonly code?: ErrorCode | undefined;
    }
  | { readonly type: "stop" };

export type ToNetd =
  | { readonly type: "plan"; readonly id: number; readonly plan: NetworkPlan }
  | { readonly type: "pong" }
  /** What it is doing from now on, for the log of a sudden death: 'opening the store lmdb:…'. */
  | { readonly type: "phase"; readonly phase: string }
  /** Packets and DNS are served. */
  | { readonly type: "ready"; readonly line: string }
  /**
   * The gateway cannot start. Before the first 'ready' netd prints the text, undoes what it set up and exits 1; after it
   * (a respawned gateway) netd keeps traffic refused and tries again.
   */
  | { readonly type: "fatal"; readonly text: string };

/** `egress46 run` options after validation; everything the gateway process needs to know. */
export interface GatewayOptions {
  readonly files: readonly string[];
  /** As the operator wrote it. */
  readonly store: string;
  /** Where the gateway finds an LMDB folder that its user could not walk to. */
  readonly storeFolder?: string | undefined;
  readonly redisCert?: string | undefined;
  readonly redisKey?: string | undefined;
  readonly redisCa?: string | undefined;
  readonly redisWait: RedisWait;
  readonly workers: number;
  /** Of each worker. */
  readonly engine: EngineOptions;
  readonly behaviour: NatBehaviour;
  readonly dnsPolicy: DnsPolicy;
  readonly dnsUpstreams?: UpstreamOptions | undefined;
  readonly mappings?: MappingOptions | undefined;
  /** Where the gateway finds the folder of --mapping-journal. */
  readonly journalFolder?: string | undefined;
  /** Descriptor number, in the gateway process, of the listening socket of --sorry-page. */
  readonly sorryPageFd?: number | undefined;
  readonly admin: string;
  readonly logLevel: string;
  /** Envoy is the data plane. */
  readonly envoy?: EnvoyOptions | undefined;
}
