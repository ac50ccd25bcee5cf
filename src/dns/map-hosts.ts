/** An address for each host of a decision. */
import { bytesToIpv6 } from "../addresses.ts";
import { inTime } from "../in-time.ts";
import type { Trace } from "../trace.ts";
import type { Host, Synthesis } from "./dns46.ts";
import type { NewAddress } from "./synthesize.ts";

export type HostMapping = { readonly kind: "mapped"; readonly nat4: string } | { readonly kind: "exhausted" };

/** What a mapping is made for. */
export interface MappingUse {
  /** The name that was asked for, in wire form. */
  readonly name: Uint8Array;
  /** Seconds for which the answer may be believed. */
  readonly ttl: number;
  readonly trace?: Trace | undefined;
}

/** The NAT IPv4 of an IPv6 host (text), once it is stored and installed. Rejects when the store is out of reach. */
export type MapHost = (host6: string, use: MappingUse) => Promise<HostMapping>;

export interface MappedHosts {
  /** Of the hosts that have one, in their order. */
  readonly addresses: NewAddress[];
  /** Why the others have none, where it is not that the pool is exhausted. */
  readonly refused: unknown;
}

/** Together with the resolver's deadlines this stays below the 5 s after which clients give up. */
const deadlineMs = 1500;
const tooSlow = new Error("the mapping store is too slow");

export function createHostMapper(mapHost: MapHost) {
  /** Never rejects. */
  async function mapAll({ hosts, ttl }: Synthesis, name: Uint8Array, trace?: Trace): Promise<MappedHosts> {
    const addresses: NewAddress[] = [];
    let refused: unknown;
    const begun = hosts.map((host) => begin(host, { name, ttl, trace }));
    for (const [index, work] of begun.entries())
      try {
        const mapping = await work;
        if (mapping.kind === "mapped") addresses.push({ nat4: mapping.nat4, ttl, host: hosts[index] });
      } catch (error) {
        refused ??= error;
      }
    return { addresses, refused };
  }

  function begin(host: Host, use: MappingUse): Promise<HostMapping> {
    const work = inTime(mapHost(bytesToIpv6(host.address), use), deadlineMs, (cause) => cause ?? tooSlow);
    // Awaited in turn: one that fails before its turn is no unhandled rejection.
    work.catch(() => undefined);
    return work;
  }

  return mapAll;
}
