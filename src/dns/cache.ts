/**
 * The gateway's cache of answers, for questions that no worker's engine has answered: those by sockets, and what the
 * engines' own caches miss. It is dns.wasm, the same cache that the engines have. Nothing here throws.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { wireOrder } from "../engine/engine.ts";
import { Eg46Error } from "../errors.ts";
import { type DnsCacheCounts, readDnsCounts } from "./cache-counts.ts";
import { type Lifetime, lifetimeOf } from "./lifetime.ts";
import { scanMessage } from "./message.ts";
import { originOf } from "./origin.ts";
import type { Transport } from "./proxy.ts";

export interface AnswerCache {
  /** `refresh`: its lifetime ends soon, and this caller is the one to ask anew. */
  find(query: Uint8Array, transport: Transport): { reply: Uint8Array; refresh: boolean } | undefined;
  /** An answer whose lifetime doesn't end soon; not counted. */
  renewed(query: Uint8Array, transport: Transport): Uint8Array | undefined;
  /** Whether stale() has something. */
  hasStale(query: Uint8Array, transport: Transport): boolean;
  /** An answer up to a day after its lifetime, with TTLs of 30 s (RFC 8767). */
  stale(query: Uint8Array, transport: Transport): { reply: Uint8Array; synthesized: boolean } | undefined;
  /** Grows with every mapping that goes and every flush: what was being answered then isn't kept. */
  changes(): number;
  /** Keeps the reply if it may be kept and nothing has changed since. */
  keep(query: Uint8Array, reply: Uint8Array, changes: number): void;
  /** How long another cache may keep a reply from here, or one given to keep(); undefined: not at all. */
  lifetime(reply: Uint8Array): Lifetime | undefined;
  /** Answers with that NAT address (host order) are no longer good. */
  forget(nat4: number): void;
  flush(): void;
  counts(): DnsCacheCounts;
}

/** The functions of assembly/dns/index.ts; documented there. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  init(bytes: number, key0: bigint, key1: bigint): number;
  questionBuffer(): number;
  replyBuffer(): number;
  counters(): number;
  typeCounters(): number;
  rcodeCounters(): number;
  answer(length: number, overUdp: number, nowMs: number): number;
  renewed(length: number, overUdp: number, nowMs: number): number;
  leftMs(): number;
  isSynthesized(): number;
  wantsRefresh(): number;
  hasStale(length: number, overUdp: number, nowMs: number): number;
  stale(length: number, overUdp: number, nowMs: number): number;
  keep(length: number, replyLength: number, lifetimeMs: number, synthesized: number, nowMs: number): number;
  forget(nat4BE: number): void;
  flush(): void;
}

const wasmUrl = new URL("../../wasm/dns.wasm", import.meta.url);
const longestMessage = 65_535;

/** `bytes` 0: nothing is kept. Throws EG46_ENGINE when the module has no room for so many. `now` in milliseconds. */
export function createAnswerCache(bytes: number, now: () => number = () => performance.now()): AnswerCache {
  const module = new WebAssembly.Module(readFileSync(wasmUrl));
  const wasm = new WebAssembly.Instance(module, {}).exports as unknown as Exports;
  const key = randomBytes(16);
  if (!wasm.init(bytes, key.readBigInt64LE(0), key.readBigInt64LE(8)))
    throw new Eg46Error("EG46_ENGINE", `no room for ${bytes} bytes of DNS answers`);
  const memory = new Uint8Array(wasm.memory.buffer);
  const question = wasm.questionBuffer();
  const replies = wasm.replyBuffer();
  const lifetimes = new WeakMap<Uint8Array, Lifetime & { readonly changes: number }>();
  let changes = 0;

  type Look = (length: number, overUdp: number, nowMs: number) => number;
  function look(how: Look, query: Uint8Array, transport: Transport): number {
    if (query.length > longestMessage) return 0;
    memory.set(query, question);
    return how(query.length, Number(transport === "udp"), now());
  }

  /** What the module has put into its reply buffer. */
  function taken(length: number): Uint8Array {
    const reply = memory.slice(replies, replies + length);
    const seconds = Math.floor(wasm.leftMs() / 1000);
    if (seconds > 0) lifetimes.set(reply, { seconds, synthesized: wasm.isSynthesized() !== 0, changes });
    return reply;
  }

  return {
    find(query, transport) {
      const length = look(wasm.answer, query, transport);
      return length === 0 ? undefined : { reply: taken(length), refresh: wasm.wantsRefresh() !== 0 };
    },
    renewed(query, transport) {
      const length = look(wasm.renewed, query, transport);
      return length === 0 ? undefined : taken(length);
    },
    hasStale: (query, transport) => look(wasm.hasStale, query, transport) !== 0,
    stale(query, transport) {
      const length = look(wasm.stale, query, transport);
      if (length === 0) return undefined;
      return { reply: memory.slice(replies, replies + length), synthesized: wasm.isSynthesized() !== 0 };
    },
    changes: () => changes,
    keep(query, reply, since) {
      const origin = originOf(reply);
      const message = origin === undefined || since !== changes ? undefined : scanMessage(reply);
      const lifetime = message && lifetimeOf(message, origin!);
      if (lifetime === undefined || query.length > longestMessage) return;
      lifetimes.set(reply, { ...lifetime, changes });
      memory.set(query, question);
      memory.set(reply, replies);
      const { seconds, synthesized } = lifetime;
      wasm.keep(query.length, reply.length, seconds * 1000, Number(synthesized), now());
    },
    lifetime(reply) {
      const found = lifetimes.get(reply);
      return found?.changes === changes
        ? { seconds: found.seconds, synthesized: found.synthesized }
        : undefined;
    },
    forget(nat4) {
      changes++;
      wasm.forget(wireOrder(nat4));
    },
    flush() {
      changes++;
      wasm.flush();
    },
    counts: () => readDnsCounts(memory.buffer, wasm.counters(), wasm.typeCounters(), wasm.rcodeCounters()),
  };
}
