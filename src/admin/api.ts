import type { DigResult } from "../dns/dig.ts";
import type { StoreReference } from "../mappings/open.ts";
import type {
  DnsCounters,
  DropCount,
  EgressStatus,
  ListedMapping,
  MappingSummary,
  SessionPage,
  SnatAddress,
  VirtualServer,
} from "./view.ts";

/** Bodies of the /v1 responses: the server writes them, the commands read them. */
export interface VirtualServersBody {
  readonly virtualServers: readonly VirtualServer[];
}

export interface DropsBody {
  readonly drops: readonly DropCount[];
}

export interface MappingsBody {
  readonly mappings: readonly ListedMapping[];
}

export type StoreBody = StoreReference;

export type SessionsBody = SessionPage;

export type DigBody = DigResult;

export interface SnatPoolBody {
  readonly addresses: readonly SnatAddress[];
}

export interface StatusBody extends EgressStatus {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly health: { readonly ok: boolean; readonly reasons: readonly string[] };
  readonly store: { readonly name: string; readonly connected: boolean; readonly problem?: string };
  readonly mappings: Pick<
    MappingSummary,
    "known" | "malformed" | "poolSize" | "poolUsed" | "poolGrowth" | "poolExhaustedInS"
  >;
  readonly sessions: number;
  readonly maxSessions: number;
  readonly dns: Pick<DnsCounters, "questions" | "synthesized" | "responses" | "failures" | "upstreams">;
}

/** Any response of status 400 and above. */
export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}
