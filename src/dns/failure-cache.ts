/**
 * Questions without a usable answer are not asked again for a while (RFC 9520 §3.2: 1 s at least, 5 min at most): a
 * broken zone, asked for by everybody, shall not cost its upstreams and our clients a wait each time.
 */
import type { Asked } from "./asked.ts";
import { flag, headerLength, u16 } from "./message.ts";
import { foldOctet } from "./name.ts";

export interface Failure {
  /** RCODE that the upstreams gave; undefined: no answer. */
  readonly code: number | undefined;
  /** `performance.now()`. */
  readonly until: number;
}

export interface FailureCache {
  /** Undefined: it may be asked, as whatever is not plain (options, signatures) may always. */
  recall(asked: Asked, now: number): Failure | undefined;
  remember(asked: Asked, code: number | undefined, now: number): void;
  forget(asked: Asked): void;
  clear(): void;
  readonly size: number;
}

const shortestMs = 1000;
const longestMs = 300_000;
const maxEntries = 4096;
/** Of OPT's TTL field. */
const dnssecOk = 0x8000;

interface Entry extends Failure {
  readonly lifetimeMs: number;
}

export function createFailureCache(): FailureCache {
  /** The oldest first. */
  const entries = new Map<string, Entry>();
  return {
    recall(asked, now) {
      if (entries.size === 0 || !isPlain(asked)) return undefined;
      const entry = entries.get(keyOf(asked));
      return entry !== undefined && now < entry.until ? entry : undefined;
    },
    remember(asked, code, now) {
      if (!isPlain(asked)) return;
      const key = keyOf(asked);
      const before = entries.get(key);
      // Failing again soon doubles it; what failed long ago starts anew.
      const again = before !== undefined && now < before.until + before.lifetimeMs;
      const lifetimeMs = again ? Math.min(longestMs, before.lifetimeMs * 2) : shortestMs;
      entries.delete(key);
      entries.set(key, { code, until: now + lifetimeMs, lifetimeMs });
      if (entries.size > maxEntries) entries.delete(entries.keys().next().value!);
    },
    forget(asked) {
      if (entries.size > 0 && isPlain(asked)) entries.delete(keyOf(asked));
    },
    clear: () => entries.clear(),
    get size() {
      return entries.size;
    },
  };
}

/**
 * One that differs from others of its key in nothing that an upstream may fail for: no options, signatures, reserved bits.
 * The failure of another says nothing about what the rest of the clients ask.
 */
function isPlain({ bytes, question, opt }: Asked): boolean {
  if ((u16(bytes, 2) & ~(flag.rd | flag.ad | flag.cd)) !== 0 || u16(bytes, 6) + u16(bytes, 8) !== 0)
    return false;
  if (opt === undefined) return u16(bytes, 10) === 0 && question.end === bytes.length;
  const only = u16(bytes, 10) === 1 && opt.end === bytes.length;
  return only && opt.rdata === opt.end && (opt.ttl & ~dnssecOk) === 0;
}

/** Name, type and class. RD and CD ask for something else of the upstream: without CD a bogus answer is SERVFAIL. */
function keyOf({ bytes, question }: Asked): string {
  return `${u16(bytes, 2) & (flag.rd | flag.cd)} ${foldedQuestion(bytes, question.nameEnd, question.end)}`;
}

const folded = Buffer.allocUnsafe(512);

/** Name in lower case, then type and class, an octet a character. */
function foldedQuestion(bytes: Uint8Array, nameEnd: number, end: number): string {
  const length = end - headerLength;
  for (let index = 0; index < length; index++) {
    const octet = bytes[headerLength + index]!;
    folded[index] = index < nameEnd - headerLength ? foldOctet(octet) : octet;
  }
  return folded.toString("latin1", 0, length);
}
