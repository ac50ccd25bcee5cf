/**
 * DNS answers as they go out. What a hit gives differs from what was stored in its ID, the letters of the question and
 * the TTLs alone. What may be stored, and for how long, is the host's decision. Times in milliseconds.
 */
import { countHit, dnsCounters } from "./dns-counters";
import { foldName, foldedName } from "./dns-query";
import {
  ANSWER_FIXED,
  CachedAnswer,
  clearRing,
  firstAnswer,
  initRing,
  isRingThere,
  link,
  remove,
  takeRoom,
} from "./dns-ring";
import { mappingChanges } from "./mapping-changes";
import {
  DNS_HEADER,
  DNS_OPCODE,
  DNS_RESPONSE,
  DNS_TRUNCATED,
  ONE_BE,
  TYPE_A,
  TYPE_OPT,
  TYPE_TSIG,
  afterRecord,
  dnsMessage,
  recordAt,
  recordType,
  scanMessage,
} from "./wire/dns";

/** Longer ones, or of more records, are seldom and would push many others out. */
const MAX_REPLY: u32 = 4096;
const MAX_TTLS: u32 = 250;
const TTLS = memory.data(512, 8);
/** RFC 8767 §5: how long behind its lifetime an answer may be given when no upstream gives one, and its TTL then. */
const STALE_MS: i64 = 86_400_000;
const STALE_TTL: u32 = 30;

export function initAnswers(bytes: u32): bool {
  return initRing(bytes);
}

export function flushAnswers(): void {
  clearRing();
}

// @ts-ignore: decorator
@inline
function padded(length: u32): u32 {
  return (length + 7) & ~7;
}

// @ts-ignore: decorator
@inline
function ttlsOf(answer: CachedAnswer): usize {
  return changetype<usize>(answer) + ANSWER_FIXED + padded(answer.key >> 24);
}

// @ts-ignore: decorator
@inline
function replyOf(answer: CachedAnswer): usize {
  return ttlsOf(answer) + padded(<u32>answer.ttlCount << 1);
}

/** The answer to the query at `p` of that key (readQuery), expired or not, unless its mapping has gone; or null. */
export function findAnswer(p: usize, key: u32): CachedAnswer | null {
  if (!isRingThere()) return null;
  const answer = find(key, foldName(p + DNS_HEADER, key >> 24));
  if (answer == null || !answer.synthesized) return answer;
  if (sumChanges(replyOf(answer), ttlsOf(answer), answer.ttlCount) == answer.changes) return answer;
  remove(answer);
  return null;
}

/** By the folded name. */
function find(key: u32, hash: u32): CachedAnswer | null {
  let at = firstAnswer(hash);
  while (at != 0) {
    const answer = changetype<CachedAnswer>(at);
    if (answer.hash == hash && answer.key == key && hasFoldedName(at + ANSWER_FIXED, key >> 24)) return answer;
    at = answer.next;
  }
  return null;
}

function hasFoldedName(name: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i += 8) if (load<u64>(name + i) != load<u64>(foldedName + i)) return false;
  return true;
}

/** Of the addresses in a DNS46 answer. */
function sumChanges(reply: usize, ttls: usize, count: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const fixed = reply + load<u16>(ttls + (<usize>i << 1)) - 4;
    if (recordType(fixed) == TYPE_A) sum += mappingChanges(load<u32>(fixed, 10));
  }
  return sum;
}

/** Since it was stored. */
// @ts-ignore: decorator
@inline
export function ageOf(answer: CachedAnswer, nowMs: u64): i64 {
  return max<i64>(<i64>(nowMs - answer.storedMs), 0);
}

// @ts-ignore: decorator
@inline
export function isFresh(answer: CachedAnswer, nowMs: u64): bool {
  return ageOf(answer, nowMs) < <i64>answer.lifetimeMs;
}

export function mayBeStale(answer: CachedAnswer, nowMs: u64): bool {
  return ageOf(answer, nowMs) < <i64>answer.lifetimeMs + STALE_MS;
}

/** In the last tenth of its lifetime, and nobody asks anew yet. */
// @ts-ignore: decorator
@inline
export function isRefreshDue(answer: CachedAnswer, nowMs: u64): bool {
  return !answer.refreshing && ageOf(answer, nowMs) * 10 >= <i64>answer.lifetimeMs * 9;
}

/** Answers the query at `query` at `to`, which may be the same place. → bytes. */
export function writeAnswer(answer: CachedAnswer, query: usize, to: usize, nowMs: u64): u32 {
  answer.used = true;
  copyAnswer(answer, query, to);
  const seconds = <u32>ageOf(answer, nowMs) / 1000;
  if (seconds != 0) {
    const ttls = ttlsOf(answer);
    const count: u32 = answer.ttlCount;
    for (let i: u32 = 0; i < count; i++) {
      const at = to + load<u16>(ttls + (<usize>i << 1));
      const ttl = bswap<u32>(load<u32>(at));
      store<u32>(at, bswap<u32>(ttl > seconds ? ttl - seconds : 0));
    }
  }
  return answer.replyLength;
}

/** The reply as it was written is at `to`. */
export function countAnswer(answer: CachedAnswer, to: usize): void {
  countHit(answer.key & 0xffff, load<u8>(to, 3) & 15, answer.synthesized);
}

/** As writeAnswer, of an expired answer: every TTL is that of RFC 8767. */
export function writeStale(answer: CachedAnswer, query: usize, to: usize): u32 {
  copyAnswer(answer, query, to);
  const ttls = ttlsOf(answer);
  const count: u32 = answer.ttlCount;
  for (let i: u32 = 0; i < count; i++) store<u32>(to + load<u16>(ttls + (<usize>i << 1)), bswap<u32>(STALE_TTL));
  dnsCounters.stale++;
  return answer.replyLength;
}

/** ID and name are the query's. */
function copyAnswer(answer: CachedAnswer, query: usize, to: usize): void {
  const reply = replyOf(answer);
  const nameLength = answer.key >> 24;
  const id = load<u16>(query);
  if (to != query) memory.copy(to + DNS_HEADER, query + DNS_HEADER, nameLength);
  store<u64>(to, load<u64>(reply));
  store<u32>(to, load<u32>(reply, 8), 8);
  store<u16>(to, id);
  const behind = DNS_HEADER + nameLength;
  memory.copy(to + behind, reply + behind, answer.replyLength - behind);
}

/**
 * Keeps the reply to a query of that key. False: it is no whole reply to it, or too long. `synthesized`: its A records
 * are addresses of DNS46.
 */
export function storeAnswer(key: u32, reply: usize, length: u32, lifetimeMs: u32, synthesized: bool, nowMs: u64): bool {
  if (!isRingThere() || key == 0 || length > MAX_REPLY || !isReplyTo(key, reply, length)) return false;
  const count = listTtls(reply);
  if (count < 0) return false;
  const nameLength = key >> 24;
  const hash = foldName(reply + DNS_HEADER, nameLength);
  const before = find(key, hash);
  if (before != null) remove(before);
  const size = ANSWER_FIXED + padded(nameLength) + padded(<u32>count << 1) + padded(length);
  const at = takeRoom(size, nowMs);
  if (at == 0) return false;
  const answer = changetype<CachedAnswer>(at);
  answer.storedMs = nowMs;
  answer.hash = hash;
  answer.key = key;
  answer.lifetimeMs = lifetimeMs;
  answer.changes = synthesized ? sumChanges(reply, TTLS, count) : 0;
  answer.size = size;
  answer.replyLength = <u16>length;
  answer.ttlCount = <u16>count;
  answer.used = false;
  answer.synthesized = synthesized;
  answer.refreshing = false;
  memory.copy(at + ANSWER_FIXED, foldedName, padded(nameLength));
  memory.copy(ttlsOf(answer), TTLS, <u32>count << 1);
  memory.copy(replyOf(answer), reply, length);
  link(answer);
  return true;
}

function isReplyTo(key: u32, reply: usize, length: u32): bool {
  if (!scanMessage(reply, length)) return false;
  const m = dnsMessage;
  if ((m.flags & (DNS_RESPONSE | DNS_OPCODE | DNS_TRUNCATED)) != DNS_RESPONSE) return false;
  return m.end == reply + length && m.nameLength == key >> 24 && m.type == (key & 0xffff) && m.klass == ONE_BE >> 8;
}

/** Where the TTLs stand in the message that was scanned last; OPT has none. → how many; -1 = not to be kept. */
function listTtls(reply: usize): i32 {
  const m = dnsMessage;
  let count: u32 = 0;
  for (let at = m.records; at < m.end; ) {
    const fixed = recordAt(at, m.end);
    const type = recordType(fixed);
    // A signature over this very message (RFC 8945).
    if (type == TYPE_TSIG || count == MAX_TTLS) return -1;
    if (type != TYPE_OPT) {
      store<u16>(TTLS + (<usize>count << 1), <u16>(fixed + 4 - reply));
      count++;
    }
    at = afterRecord(fixed);
  }
  return count;
}
