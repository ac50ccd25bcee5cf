import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { canonicalHost6 } from "./codec.ts";
import { sleep } from "./deadline.ts";
import { nameKey } from "./record-keys.ts";
import type { RecordStore } from "./store.ts";

/**
 * Which names led to which hosts (the specification's 'type A DB entry'), kept in the store for a day so that any gateway
 * can answer a known name when no upstream does. Names are text, in any case, with or without the final dot.
 */
export interface Names {
  /** After an answer; costs it nothing. Neither throws nor waits. */
  note(name: string, hosts: readonly string[]): void;
  /** RFC 5952 texts; none: nobody noted the name. Rejects with EG46_STORE_UNAVAILABLE when only the store could tell. */
  hostsOf(name: string): Promise<string[]>;
  run(signal: AbortSignal): Promise<void>;
}

const lifeMs = 86_400_000;
/** A name that is asked for all the time is written this often. */
const againMs = lifeMs / 4;
const maxNames = 65_536;
/** A host behind a wildcard has as many names as anybody likes to make up: the first ones are enough. */
const maxNamesOfHost = 8;
const maxHosts = 8;
const maxLength = 255;
const flushMs = 200;
/** Each flush, so that names never keep mappings waiting. */
const maxWrites = 500;
/** What a flood brings beyond what is written in two seconds is not kept. */
const maxWaiting = 10 * maxWrites;

interface Noted {
  /** Blank between the addresses. */
  readonly hosts: string;
  readonly writtenMs: number;
}

interface Counted {
  readonly names: number;
  /** performance.now() when the store has none of them any more. */
  readonly untilMs: number;
}

/** `most` names are known here, and counts of as many hosts again. */
export function createNames(records: RecordStore, log: Logger, most = maxNames): Names {
  // In order of their latest writing: what is too much goes from the front.
  const noted = new Map<string, Noted>();
  const ofHost = new Map<string, Counted>();
  const toWrite = new Map<string, string>();

  function countNew(hosts: string, untilMs: number): void {
    for (const host of hosts.split(" ")) {
      const names = (ofHost.get(host)?.names ?? 0) + 1;
      ofHost.delete(host);
      ofHost.set(host, { names, untilMs });
    }
  }

  function countGone(hosts: string): void {
    for (const host of hosts.split(" ")) {
      const before = ofHost.get(host);
      if (before === undefined) continue;
      if (before.names > 1) ofHost.set(host, { ...before, names: before.names - 1 });
      else ofHost.delete(host);
    }
  }

  const isKnownEnough = (host: string) => (ofHost.get(host)?.names ?? 0) >= maxNamesOfHost;

  function forget(name: string): void {
    const before = noted.get(name);
    if (before === undefined) return;
    noted.delete(name);
    countGone(before.hosts);
  }

  function forgetOld(now: number): void {
    for (const [name, { writtenMs }] of noted) {
      if (now - writtenMs >= lifeMs) forget(name);
      // The store has it all the same, so it goes on counting.
      else if (noted.size > most) noted.delete(name);
      else break;
    }
    for (const [host, { untilMs }] of ofHost) {
      if (now < untilMs && ofHost.size <= 2 * most) break;
      ofHost.delete(host);
    }
  }

  async function flush(): Promise<void> {
    const batch = [...toWrite].slice(0, maxWrites);
    try {
      await records.put(batch.map(([name, hosts]) => ({ key: nameKey(name), value: hosts, lifeMs })));
      for (const [name, hosts] of batch) if (toWrite.get(name) === hosts) toWrite.delete(name);
    } catch (error) {
      if (!(error instanceof Eg46Error)) log.error({ err: error }, "noting names failed");
      // Rather none than a crowd that meets the store when it comes back.
      if (toWrite.size <= maxWrites) return;
      // They are written when they are asked for again.
      for (const name of toWrite.keys()) forget(name);
      toWrite.clear();
    }
  }

  return {
    note(text, hosts6) {
      const name = folded(text);
      if (name === undefined || hosts6.length === 0 || toWrite.size >= maxWaiting) return;
      const hosts = hosts6.slice(0, maxHosts).join(" ");
      const now = performance.now();
      const before = noted.get(name);
      if (before?.hosts === hosts && now - before.writtenMs < againMs) return;
      if (before === undefined && hosts6.every(isKnownEnough)) return;
      forget(name);
      noted.set(name, { hosts, writtenMs: now });
      countNew(hosts, now + lifeMs);
      toWrite.set(name, hosts);
      forgetOld(now);
    },
    async hostsOf(text) {
      const name = folded(text);
      if (name === undefined) return [];
      const own = noted.get(name);
      const lives = own !== undefined && performance.now() - own.writtenMs < lifeMs;
      const known = lives ? own.hosts : (await records.getMany([nameKey(name)]))[0];
      return hostsIn(known);
    },
    async run(signal) {
      while (!signal.aborted) {
        await sleep(flushMs, signal);
        if (toWrite.size > 0) await flush();
      }
    },
  };
}

/** What a record of a name says; anything that is no host's address is left out. */
export function hostsIn(record: string | undefined): string[] {
  return (record ?? "")
    .split(" ", maxHosts)
    .map(canonicalHost6)
    .filter((host) => host !== undefined);
}

/** RFC 4343: names are equal whatever the case of their ASCII letters. */
function folded(text: string): string | undefined {
  const name = text.replace(/\.$/, "").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return name === "" || name.length > maxLength ? undefined : name;
}
