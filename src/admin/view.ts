import type { DnsCacheCounts } from "../dns/cache-counts.ts";
import type { DigQuestion, DigResult } from "../dns/dig.ts";
import type { DnsStats } from "../dns/stats.ts";
import type { AddressUse, ProtocolUse } from "../engine/pool-use.ts";
import type { SessionRecord } from "../engine/session-table.ts";
import type { StoreReference } from "../mappings/open.ts";

/**
 * Port: what the admin API reads of a running gateway, without stopping the data plane. Most methods are cheap snapshots of
 * counters, summed over workers; sessionPage() and watchSessions() read the session tables, a slice a turn of the event
 * loop; only listMappings() and dig() do I/O.
 */
export interface GatewayView {
  /** `ok` only while packets and DNS are served; otherwise each reason is one line. */
  health(): { readonly ok: boolean; readonly reasons: readonly string[] };
  /** The virtual servers that the configuration has, in the order in which tmctl shows them. */
  virtualServers(): readonly VirtualServer[];
  /** Every drop reason there is, also those that never happened. */
  drops(): readonly DropCount[];
  packets(): readonly { readonly direction: string; readonly packets: number; readonly bytes: number }[];
  /** Sessions that exist now. */
  sessions(): number;
  /** How many there can be at once. */
  maxSessions(): number;
  /** Sessions that exist now, a page of them, in no order. */
  sessionPage(query: SessionQuery): Promise<SessionPage>;
  /** Those that exist, then what changes, until the signal. Throws EG46_ADMIN_BUSY: too many are open. */
  watchSessions(pod: string | undefined, signal: AbortSignal): AsyncIterable<readonly SessionChange[]>;
  /** The SNAT addresses in use. */
  snatPool(): readonly SnatAddress[];
  dns(): DnsCounters;
  /** Resolves a name as for a Pod, mappings made included, and tells each step. */
  dig(question: DigQuestion): Promise<DigResult>;
  /** The caches of the workers together, and the gateway's own, which answers what they miss and what comes by sockets. */
  dnsCache(): Readonly<Record<"worker" | "gateway", DnsCacheCounts>>;
  mappings(): MappingSummary;
  /** How a command on this host opens the store that the gateway has. */
  store(): StoreReference;
  /** Every entry of the store, in no order; `host6` is undefined when `raw` is not a mapping. */
  listMappings(): AsyncIterable<ListedMapping>;
  status(): EgressStatus;
}

export type SnatAddress = Omit<AddressUse, "tcp" | "udp" | "icmp"> &
  Readonly<Record<"tcp" | "udp" | "icmp", ProtocolUse & { readonly counts: Counts }>>;

/**
 * What `inUse` and `allocated` are of: ports (or identifiers), each taken as a whole, so that in use ÷ ports is the
 * utilisation; or sessions, any number of which share a port as long as their remote ends differ.
 */
export type Counts = "ports" | "sessions";

export interface VirtualServer {
  readonly name: string;
  readonly totalConnections: number;
  readonly currentConnections: number;
}

export interface DropCount {
  readonly reason: string;
  readonly description: string;
  readonly count: number;
}

export type DnsCounters = Omit<DnsStats, "failures"> & {
  /** By reason. */
  readonly failures: Readonly<Record<string, number>>;
};

export interface MappingSummary {
  readonly known: number;
  /** Store entries whose value is not a mapping. */
  readonly malformed: number;
  /** Addresses in use that became another host's. */
  readonly conflicts: number;
  /** Addresses of dnsNat46Ipv4Subnet that DNS46 may hand out, and those of them that are taken. */
  readonly poolSize: number;
  readonly poolUsed: number;
  /** Addresses an hour, by the last hour; undefined: too little was seen. */
  readonly poolGrowth?: number | undefined;
  /** Seconds until the pool is exhausted at that rate; undefined: it doesn't grow. */
  readonly poolExhaustedInS?: number | undefined;
  readonly storeConnected: boolean;
  /** Why the store cannot be used as it should: away, or not to be written. */
  readonly storeProblem?: string | undefined;
  /** The --store text without credentials. */
  readonly store: string;
}

export interface ListedMapping {
  readonly nat4: string;
  readonly host6: string | undefined;
  readonly raw: string;
}

export interface SessionQuery {
  /** An inner address. */
  readonly pod?: string | undefined;
  readonly limit: number;
  /** Where the page before ended. */
  readonly after?: string | undefined;
}

export interface ListedSession extends Omit<SessionRecord, "place" | "generation"> {
  /** Names it for as long as the gateway runs. */
  readonly id: string;
  readonly worker: number;
}

export interface SessionPage {
  readonly sessions: readonly ListedSession[];
  /** `after` of the next page; absent on the last one. */
  readonly next?: string | undefined;
}

export type SessionChange =
  | { readonly change: "present" | "created" | "changed"; readonly session: ListedSession }
  | { readonly change: "ended"; readonly id: string }
  /** Changes were missed; those that matter still follow. */
  | { readonly change: "gap"; readonly worker: number };

export interface EgressStatus {
  /** waiting: a CR is there, but something that it names is not; invalid: the last good configuration is in force. */
  readonly state: "active" | "waiting" | "none" | "invalid";
  readonly reason?: string;
  readonly notes: readonly string[];
  readonly problems: readonly string[];
  /** namespace/name of the F5SPKEgress in force. */
  readonly egress?: string;
  readonly workers: number;
  /** ISO 8601. */
  readonly startedAt: string;
}
