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
  /** Why it cannot be used as it should now (away, or full and so only readable); undefined while all is well. */
  problem(): string | undefined;
  /** Another text than before: entries may be lost that it had (a failover, a restart). Absent: that can't be. */
  lineage?(): string;
  get(nat4: string): Promise<string | undefined>;
  /** One round trip where the store allows it; the result has the order of the argument. */
  getMany(nat4s: readonly string[]): Promise<(string | undefined)[]>;
  /** SETNX: true when this call created the entry. An existing entry is never overwritten. */
  claim(nat4: string, value: string): Promise<boolean>;
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
  close(): Promise<void>;
}

export interface StoreListener {
  changed(nat4: string, value: string | undefined): void;
  resync(): void;
}
