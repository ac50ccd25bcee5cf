import { numberToIpv4 } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { LeaseTerms } from "./allocator.ts";
import { leaseOf, type MappingValue } from "./codec.ts";
import { sleep } from "./deadline.ts";
import type { MappingTable } from "./mapping-table.ts";
import type { MappingStore, RenewableLease, Renewal } from "./store.ts";

/** How long mappings live. */
export interface MappingLife {
  /** That new ones are leased for beyond their last use; 0: indefinite. Whole seconds. */
  readonly leaseMs: number;
  /** How long clients, and caches between us and them, may use an answer beyond its TTL. */
  readonly graceMs: number;
  /** How long an address rests after a lease ended before another host may have it. */
  readonly quarantineMs: number;
}

export const defaultLife: MappingLife = { leaseMs: 0, graceMs: 3_600_000, quarantineMs: 3_600_000 };

/**
 * Which mappings are in use through this gateway, and their leases: an answer leaves only when its mapping is known to
 * live for the answer's TTL, the grace and half a lease more, so that the rounds below come in time; these renew what was
 * answered with or has a session. Whoever stops renewing leaves entries that outlive all they were given out for.
 */
export interface Keeper {
  /** Of a new entry; undefined: it never ends. */
  terms(): LeaseTerms | undefined;
  /** Of an entry with a timeout of so many seconds. */
  termsOf(leaseS: number): LeaseTerms | undefined;
  /** The longest that an address may be held whose entry we don't have, milliseconds. */
  holdMs(): number;
  /** Seconds that an answer may live at most. */
  setTtl(maxTtl: number): void;
  /** What the store holds at an address, undefined = nothing. */
  seen(nat4: number, value: MappingValue | undefined): void;
  /** We made the entry, by a call that began at `sentMs` (performance.now). */
  claimed(nat4: number, sentMs: number): void;
  /** The store may have lost what it acknowledged: nothing is assured any more. */
  doubt(): void;
  /** An answer with the host's address is about to leave. False: that isn't its entry (any more), so it must not. */
  answer(nat4: number, host6: string): Promise<boolean>;
  /** Made, or renewed, here by our rules: so it isn't anybody's by hand. */
  isLeased(nat4: number): boolean;
  /** The timeout that the entry was stored with, seconds. */
  leaseS(nat4: number): number;
  /** Leased, and as far as we know past its end. */
  lapsed(nat4: number): boolean;
  /** Those of the addresses that somebody may still use through us. */
  inUse(nat4s: readonly number[]): Promise<number[]>;
  run(signal: AbortSignal): Promise<void>;
}

interface Leased {
  readonly leaseS: number;
  own: boolean;
  /** performance.now() until which it counts as somebody's by hand: it is asked again. */
  foreignUntilMs: number;
  /** performance.now() until which the store has the entry for certain. */
  assuredMs: number;
}

interface Mapping {
  readonly nat4: number;
  readonly host6: string;
}

const shortestRoundMs = 250;
const longestRoundMs = 60_000;
/** The shortest lease of other gateways (--mapping-lease): an entry with a shorter one is by hand, unless we renewed it. */
const shortestOfOthersMs = 10_000;
const batchSize = 500;
const sessionsFreshMs = 200;

export function createKeeper(parts: {
  readonly store: MappingStore;
  readonly table: MappingTable;
  readonly life: MappingLife;
  /** Addresses with a session. */
  readonly sessions: () => Promise<ReadonlySet<number>>;
  /** The entry isn't there any more, though nothing told us so. */
  readonly gone: (nat4: number) => void;
  readonly log: Logger;
}): Keeper {
  const { store, table, life, sessions, gone, log } = parts;
  const leased = new Map<number, Leased>();
  const usedUntilMs = new Map<number, number>();
  let ttlMs = 0;
  const shortestGivenMs = Math.min(life.leaseMs || shortestOfOthersMs, shortestOfOthersMs);
  /** Of the leases that are ours to renew, or may be: the rounds keep up with it. */
  let shortestMs = Number.POSITIVE_INFINITY;
  let looked: Promise<ReadonlySet<number>> | undefined;
  let lookedMs = 0;
  let hurry = new AbortController();
  let waiting: { nat4: number; host6: string; done(renewal: Renewal): void; failed(error: unknown): void }[] =
    [];

  /** What an answer that leaves now may be used for. */
  const keepMs = () => ttlMs + life.graceMs;

  function termsOf(leaseS: number): LeaseTerms | undefined {
    if (leaseS === 0) return undefined;
    const entryMs = Math.ceil(leaseS * 1000 + keepMs());
    return { leaseS, entryMs, heldMs: entryMs + Math.ceil(life.quarantineMs) };
  }

  function leaseMsOf({ leaseS, assuredMs }: Leased): number {
    return assuredMs > 0 ? leaseS * 1000 : Math.max(leaseS * 1000, shortestGivenMs);
  }

  /** False: there are none. */
  function findShortest(now: number): boolean {
    shortestMs = Number.POSITIVE_INFINITY;
    for (const state of leased.values())
      if (now >= state.foreignUntilMs) shortestMs = Math.min(shortestMs, leaseMsOf(state));
    return shortestMs < Number.POSITIVE_INFINITY;
  }

  /** Rounds come sooner from now on, if need be. */
  function hasten(state: Leased): void {
    if (leaseMsOf(state) >= shortestMs) return;
    shortestMs = leaseMsOf(state);
    hurry.abort();
  }

  async function renew(mappings: readonly Mapping[]): Promise<Renewal[]> {
    const sentMs = performance.now();
    const leases = mappings.map(({ nat4, host6 }): RenewableLease => {
      const state = leased.get(nat4);
      const { entryMs = 0, heldMs = 0 } = termsOf(state?.leaseS ?? 0) ?? {};
      return { nat4: numberToIpv4(nat4), host6, own: state?.own ?? false, entryMs, heldMs };
    });
    const renewals = await store.renew(leases);
    for (const [index, renewal] of renewals.entries()) {
      const { nat4, host6 } = mappings[index]!;
      const state = leased.get(nat4);
      if (state === undefined || table.hostOf(nat4) !== host6) continue;
      if (renewal === "renewed") {
        state.assuredMs = Math.floor(sentMs + leases[index]!.entryMs);
        hasten(state);
      }
      if (renewal !== "foreign") continue;
      state.assuredMs = 0;
      state.foreignUntilMs = Math.floor(sentMs + state.leaseS * 250);
    }
    return renewals;
  }

  /** All that are asked for in one turn of the event loop go together. */
  function renewSoon(mapping: Mapping): Promise<Renewal> {
    if (waiting.length === 0) setImmediate(flush);
    return new Promise((done, failed) => waiting.push({ ...mapping, done, failed }));
  }

  async function flush(): Promise<void> {
    const batch = waiting;
    waiting = [];
    try {
      const renewals = await renew(batch);
      for (const [index, { done }] of batch.entries()) done(renewals[index]!);
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
  }

  /** Many leases may end at once: one look at the sessions serves all. */
  function lately(): Promise<ReadonlySet<number>> {
    const now = performance.now();
    if (looked === undefined || now - lookedMs > sessionsFreshMs) {
      looked = sessions();
      lookedMs = now;
    }
    return looked;
  }

  /** False: the entry isn't there any more. */
  async function assure(nat4: number, host6: string): Promise<boolean> {
    const state = leased.get(nat4);
    const now = performance.now();
    if (state === undefined || now < state.foreignUntilMs) return true;
    if (state.assuredMs - now >= keepMs() + state.leaseS * 500) return true;
    try {
      const renewal = store.connected() ? await renewSoon({ nat4, host6 }) : "unknown";
      if (renewal !== "unknown") return renewal !== "gone";
    } catch {}
    // Out of reach: what is known goes on working, and is stored anew once it is back, for it may have ended by then.
    state.assuredMs = Math.max(state.assuredMs, 1);
    return true;
  }

  async function round(): Promise<void> {
    const now = performance.now();
    for (const [nat4, untilMs] of usedUntilMs) if (untilMs < now) usedUntilMs.delete(nat4);
    if (!findShortest(now) || !(store.partly ?? store.connected)()) return;
    const busy = await sessions();
    const due: Mapping[] = [];
    for (const [nat4, state] of leased) {
      if (now < state.foreignUntilMs || !(usedUntilMs.has(nat4 | 0) || busy.has(nat4))) continue;
      const host6 = table.hostOf(nat4);
      if (host6 !== undefined && state.assuredMs - now < keepMs() + state.leaseS * 750)
        due.push({ nat4, host6 });
    }
    for (let start = 0; start < due.length; start += batchSize) {
      const batch = due.slice(start, start + batchSize);
      const renewals = await renew(batch);
      for (const [index, { nat4 }] of batch.entries()) if (renewals[index] === "gone") gone(nat4);
    }
  }

  return {
    terms: () => termsOf(Math.ceil(life.leaseMs / 1000)),
    termsOf,
    holdMs: () => life.leaseMs + keepMs() + life.quarantineMs,
    setTtl(maxTtl) {
      ttlMs = maxTtl * 1000;
    },
    seen(nat4, value) {
      const leaseS = value === undefined ? 0 : leaseOf(value);
      const state = leased.get(nat4);
      if (leaseS === 0) leased.delete(nat4);
      else if (state?.leaseS !== leaseS) {
        const next = { leaseS, own: false, foreignUntilMs: 0, assuredMs: 0 };
        leased.set(nat4, next);
        hasten(next);
      }
    },
    claimed(nat4, sentMs) {
      const state = leased.get(nat4);
      if (state === undefined) return;
      state.own = true;
      state.foreignUntilMs = 0;
      state.assuredMs = Math.floor(sentMs + (termsOf(state.leaseS)?.entryMs ?? 0));
      hasten(state);
    },
    doubt() {
      for (const state of leased.values()) state.assuredMs = Math.min(state.assuredMs, 1);
    },
    async answer(nat4, host6) {
      usedUntilMs.set(nat4 | 0, Math.floor(performance.now() + keepMs()));
      return (await assure(nat4, host6)) && table.hostOf(nat4) === host6;
    },
    isLeased: (nat4) => (leased.get(nat4)?.assuredMs ?? 0) > 0,
    leaseS: (nat4) => leased.get(nat4)?.leaseS ?? 0,
    lapsed(nat4) {
      const state = leased.get(nat4);
      return state !== undefined && state.assuredMs > 0 && state.assuredMs <= performance.now();
    },
    async inUse(nat4s) {
      const now = performance.now();
      const busy = await lately();
      return nat4s.filter((nat4) => (usedUntilMs.get(nat4 | 0) ?? 0) >= now || busy.has(nat4));
    },
    async run(signal) {
      while (!signal.aborted) {
        const everyMs = Math.min(Math.max(shortestMs / 4, shortestRoundMs), longestRoundMs);
        hurry = new AbortController();
        await sleep(everyMs, AbortSignal.any([signal, hurry.signal]));
        if (signal.aborted) return;
        try {
          await round();
        } catch (error) {
          if (!(error instanceof Eg46Error)) log.error({ err: error }, "renewing leases failed");
        }
      }
    },
  };
}
