/**
 * The cache of DNS answers by itself, for questions that don't come through an engine: the exports of dns.wasm. Messages
 * go in and out by two buffers; what is not said here is in ../core/dns-cache.
 */
import {
  ageOf,
  countAnswer,
  findAnswer,
  flushAnswers,
  initAnswers,
  isFresh,
  isRefreshDue,
  mayBeStale,
  storeAnswer,
  writeAnswer,
  writeStale,
} from "../core/dns-cache";
import { dnsCounters, dnsRcodeCounters, dnsTypeCounters } from "../core/dns-counters";
import { readQuery, udpSize } from "../core/dns-query";
import { CachedAnswer } from "../core/dns-ring";
import { setHashKey } from "../core/hash";
import { noteMappingChange } from "../core/mapping-changes";
import { dnsMessage, scanMessage } from "../core/wire/dns";

/** Any message, and a word to read beyond it. */
const QUESTION = memory.data(65_544, 16);
const REPLY = memory.data(65_544, 16);

/** What answer() gave: milliseconds that it may still be kept; whether it holds DNS46 addresses; whether to ask anew. */
let left: u32 = 0;
let synthesized: bool = false;
let refresh: bool = false;

/** False = no room for so many bytes. Call once. */
export function init(bytes: u32, key0: u64, key1: u64): bool {
  setHashKey(key0, key1);
  return initAnswers(bytes);
}

export function questionBuffer(): usize {
  return QUESTION;
}
export function replyBuffer(): usize {
  return REPLY;
}
export function counters(): usize {
  return changetype<usize>(dnsCounters);
}
export function typeCounters(): usize {
  return dnsTypeCounters;
}
export function rcodeCounters(): usize {
  return dnsRcodeCounters;
}

/** The answer to the query in hand, when it isn't longer than the client takes. */
function usable(length: u32, overUdp: bool): CachedAnswer | null {
  const key = readQuery(QUESTION, length);
  if (key == 0) return null;
  const answer = findAnswer(QUESTION, key);
  return answer != null && overUdp && <u32>answer.replyLength > udpSize ? null : answer;
}

/** Question buffer: a query of `length` bytes. → bytes in the reply buffer; 0 = no fresh answer. */
export function answer(length: u32, overUdp: bool, nowMs: f64): u32 {
  const clock = <u64>nowMs;
  const found = usable(length, overUdp);
  if (found == null || !isFresh(found, clock)) {
    dnsCounters.misses++;
    return 0;
  }
  refresh = isRefreshDue(found, clock);
  if (refresh) {
    found.refreshing = true;
    dnsCounters.refreshes++;
  }
  const bytes = give(found, clock);
  countAnswer(found, REPLY);
  return bytes;
}

/** As answer(), without counting, of an answer whose last tenth has not begun. */
export function renewed(length: u32, overUdp: bool, nowMs: f64): u32 {
  const clock = <u64>nowMs;
  const found = usable(length, overUdp);
  if (found == null || found.refreshing || !isFresh(found, clock) || isRefreshDue(found, clock)) return 0;
  refresh = false;
  return give(found, clock);
}

function give(found: CachedAnswer, clock: u64): u32 {
  left = found.lifetimeMs - <u32>ageOf(found, clock);
  synthesized = found.synthesized;
  return writeAnswer(found, QUESTION, REPLY, clock);
}

export function leftMs(): u32 {
  return left;
}
export function isSynthesized(): bool {
  return synthesized;
}
export function wantsRefresh(): bool {
  return refresh;
}

/** Whether stale() would have something. */
export function hasStale(length: u32, overUdp: bool, nowMs: f64): bool {
  const found = usable(length, overUdp);
  return found != null && mayBeStale(found, <u64>nowMs);
}

/** As answer(), be it expired (RFC 8767). */
export function stale(length: u32, overUdp: bool, nowMs: f64): u32 {
  const found = usable(length, overUdp);
  if (found == null || !mayBeStale(found, <u64>nowMs)) return 0;
  synthesized = found.synthesized;
  return writeStale(found, QUESTION, REPLY);
}

/** Question buffer: the query; reply buffer: its reply. */
export function keep(length: u32, replyLength: u32, lifetimeMs: u32, isDns46: bool, nowMs: f64): bool {
  return storeAnswer(readQuery(QUESTION, length), REPLY, replyLength, lifetimeMs, isDns46, <u64>nowMs);
}

/** Answers with this address (wire order) are no longer good. */
export function forget(nat4BE: u32): void {
  noteMappingChange(nat4BE);
}

export function flush(): void {
  flushAnswers();
}

/** Question buffer: any message. → address of DnsMessage; 0 = malformed. */
export function scan(length: u32): usize {
  return scanMessage(QUESTION, length) ? changetype<usize>(dnsMessage) : 0;
}
