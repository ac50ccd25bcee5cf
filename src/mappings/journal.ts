import { ipv4ToNumber, numberToIpv4 } from "../addresses.ts";
import type { Logger } from "../log.ts";
import { decodeValue, encodeValue, leaseOf } from "./codec.ts";
import { openLmdbStore } from "./lmdb-store.ts";
import { type Pool, windowOf } from "./pool.ts";

/** This gateway is `number` (from 1 on) of `count` that share a store and may be cut off from it at the same time. */
export interface GatewaySlice {
  readonly number: number;
  readonly count: number;
}

export interface JournalEntry {
  readonly nat4: number;
  readonly host6: string;
  readonly leaseS: number;
  /** As the store would hold it. */
  readonly value: string;
}

/**
 * Mappings given out while the store was away, on disk before the answer leaves. Each gateway takes only addresses of its
 * slice of the pool, so that no two give out the same one; those that a gateway makes whose store is in reach may still
 * meet them, which shows when they are brought together.
 */
export interface Journal {
  /** One of the host's own candidates in the slice that is not `taken`; undefined: there is none. */
  allocate(
    pool: Pool,
    host6: string,
    taken: (nat4: number) => boolean,
    leaseS: number,
  ): Promise<JournalEntry | undefined>;
  /** Those that the store doesn't have yet. */
  entries(): readonly JournalEntry[];
  /** The store has it, or another host has the address there. Never rejects. */
  settled(nat4: number): Promise<void>;
  close(): Promise<void>;
}

/** Rejects as {@link openLmdbStore}. `dir` names the folder, which is reached as `folder`. */
export async function openJournal(
  dir: string,
  folder: string,
  slice: GatewaySlice,
  log: Logger,
): Promise<Journal> {
  const store = await openLmdbStore(dir, { folder, log, create: true });
  const entries = new Map<number, JournalEntry>();
  for await (const [nat4, value] of store.list()) {
    const mapping = decodeValue(value);
    if (mapping === undefined) continue;
    const entry = { nat4: ipv4ToNumber(nat4), host6: mapping.host6, leaseS: leaseOf(mapping), value };
    entries.set(entry.nat4, entry);
  }
  const writing = new Map<number, Promise<unknown>>();

  /** What is there already was settled, and could not be removed. */
  async function write(text: string, value: string): Promise<void> {
    if (await store.claim(text, value)) return;
    await store.release(text);
    await store.claim(text, value);
  }

  return {
    entries: () => [...entries.values()],
    async allocate(pool, host6, taken, leaseS) {
      const value = encodeValue(host6, leaseS);
      for (const nat4 of windowOf(pool, host6)) {
        if (nat4 % slice.count !== slice.number - 1 || taken(nat4) || entries.has(nat4)) continue;
        const entry = { nat4, host6, leaseS, value };
        // Before the disk has it: nobody else may choose it meanwhile.
        entries.set(nat4, entry);
        const written = write(numberToIpv4(nat4), value);
        writing.set(nat4, written);
        try {
          await written;
          return entry;
        } catch (error) {
          entries.delete(nat4);
          throw error;
        } finally {
          writing.delete(nat4);
        }
      }
      return undefined;
    },
    async settled(nat4) {
      const text = numberToIpv4(nat4);
      try {
        // What is only just being written would stay, and be stored again after the next start.
        await writing.get(nat4);
        entries.delete(nat4);
        await store.release(text);
      } catch (error) {
        entries.delete(nat4);
        log.warn({ err: error, nat4: text }, "the journal keeps an entry that it needs no longer");
      }
    },
    close: () => store.close(),
  };
}
