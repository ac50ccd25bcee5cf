/**
 * Port: where mappings live. Keys are NAT IPv4 addresses as dotted text, values the raw text of the dSSM entry
 * (see codec.ts); a store never interprets them. Implementations: lmdb-store.ts, redis-store.ts; both pass
 * test/contract/mapping-store.test.ts.
 *
 * Every method rejects with Eg46Error EG46_STORE_UNAVAILABLE within a bounded time when the store is out of reach.
 */
export interface MappingStore {
  /** For logs and the admin API: the --store text without credentials. */
  readonly name: string;
  /** Whether the store answered lately; never blocks. */
  connected(): boolean;
  /** Whether some part of it answered lately. Absent: it has no parts. */
  partly?(): boolean;
  /** Why it cannot be used as it should now (away, or full and so only readable); undefined while all is well. */
  problem(): string | undefined;
  /** Another text than before: entries may be lost that it had (a failover, a restart). Absent: that can't be. */
  lineage?(): string;
  get(nat4: string): Promise<string | undefined>;
  /** One round trip where the store allows it; the result has the order of the argument. */
  getMany(nat4s: readonly string[]): Promise<(string | undefined)[]>;
  /** What stands at these addresses, and for whom free ones are held; one round trip where the store allows it. */
  window(nat4s: readonly string[]): Promise<Place[]>;
  /**
   * SETNX: true when this call created the entry. An existing entry is never overwritten. With a lease the entry ends by
   * itself unless it is renewed, and the address is held for the host beyond that.
   */
  claim(nat4: string, value: string, lease?: Lease): Promise<boolean>;
  /** Lengthens leases, never shortens one; outcomes in the order of the argument. */
  renew(leases: readonly RenewableLease[]): Promise<Renewal[]>;
  /** DEL: true when there was an entry. */
  release(nat4: string): Promise<boolean>;
  /** Every entry, in no order, in bounded memory; one that changes meanwhile may come twice or not at all. */
  list(): AsyncIterable<readonly [nat4: string, value: string]>;
  /**
   * Reports changes made by anybody (also by hand, also through this store), within a second; `value` undefined =
   * deleted. `resync` is called once the watch is in place, and again after each interruption: changes may have been
   * missed, list again. While the store is away it waits for its return. Runs until the signal aborts or the store is
   * closed.
   */
  watch(listener: StoreListener, signal: AbortSignal): Promise<void>;
  /** What we keep beside the entries. */
  readonly records: RecordStore;
  close(): Promise<void>;
}

export interface Place {
  readonly value: string | undefined;
  /** The only host that may have the free address now: RFC 5952 text. */
  readonly heldFor: string | undefined;
}

/** Times count from the call, by the store's clock. */
export interface Lease {
  readonly host6: string;
  readonly entryMs: number;
  /** More than `entryMs`: the quarantine is what lies between. */
  readonly heldMs: number;
}

export interface RenewableLease extends Lease {
  readonly nat4: string;
  /** We made the entry ourselves, so that it is leased even if the record of that was lost. */
  readonly own: boolean;
}

/**
 * `gone`: no entry of that host is there. `foreign`: nobody leased it by our rules, so that its end is not ours to move.
 * `unknown`: its part of the store is out of reach.
 */
export type Renewal = "renewed" | "gone" | "foreign" | "unknown";

/** Small records under keys of our own (record-keys.ts), each with an end; none is ever in the F5 form. */
export interface RecordStore {
  getMany(keys: readonly string[]): Promise<(string | undefined)[]>;
  /** Overwrites. */
  put(
    records: readonly { readonly key: string; readonly value: string; readonly lifeMs: number }[],
  ): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  list(prefix: string): AsyncIterable<readonly [key: string, value: string]>;
}

export interface StoreListener {
  changed(nat4: string, value: string | undefined): void;
  resync(): void;
}
