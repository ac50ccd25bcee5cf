/** Intercepted questions that the cache answers: the answer goes out of the slot that the question came in. */
import { countAnswer, findAnswer, isFresh, isRefreshDue, storeAnswer, writeAnswer } from "../core/dns-cache";
import { dnsCounters } from "../core/dns-counters";
import { readQuery, udpSize } from "../core/dns-query";
import { CachedAnswer, isRingThere } from "../core/dns-ring";
import { Verdict } from "../core/verdict";
import { VNET_HEADER } from "../core/wire/vnet";
import { TRANSMIT_CAPACITY, isTransmitFull, transmit, transmitted } from "./slots";
import { UdpContext, replyContext, replyPayload, wrap } from "./udp-reply";

/** Where in its slot a question is put that is asked anew: behind the longest answer. */
const ASIDE: usize = 8192;

let clockMs: u64 = 0;
let lastMs: u32 = 0;

/** The host's milliseconds, which wrap, as a clock that doesn't. To be called at least once in 24 days. */
export function dnsClock(nowMs: u32): u64 {
  clockMs += <i64><i32>(nowMs - lastMs);
  lastMs = nowMs;
  return clockMs;
}

/** The question of `length` bytes at `payload`, alone in its packet. False: nothing was changed; the host answers it. */
export function answerFromCache(payload: usize, length: u32, context: UdpContext, slot: u32, nowMs: u32): bool {
  if (!isRingThere()) return false;
  const key = readQuery(payload, length);
  context.cacheKey = key;
  const clock = dnsClock(nowMs);
  const answer = key == 0 ? changetype<CachedAnswer>(0) : findAnswer(payload, key);
  if (answer == null || !isFresh(answer, clock) || <u32>answer.replyLength > udpSize || isTransmitFull()) {
    dnsCounters.misses++;
    return false;
  }
  // The answer itself needs a place, too.
  if (isRefreshDue(answer, clock) && transmitted() + 2 <= TRANSMIT_CAPACITY) askAnew(answer, payload, length, context, slot);
  const size = writeAnswer(answer, payload, payload, clock);
  countAnswer(answer, payload);
  const ip = wrap(context, payload, size);
  memory.fill(ip - VNET_HEADER, 0, VNET_HEADER);
  const total = <u32>(payload - ip) + size;
  return transmit(ip - VNET_HEADER, VNET_HEADER + total, Verdict.FORWARD, slot, 0);
}

/** The answer to this one is only to be stored. */
function askAnew(answer: CachedAnswer, payload: usize, length: u32, context: UdpContext, slot: u32): void {
  memory.copy(payload + ASIDE, payload, length);
  transmit(payload + ASIDE, length, Verdict.DNS_REFRESH, slot, <u32>changetype<usize>(context));
  answer.refreshing = true;
  dnsCounters.refreshes++;
}

/** Keeps the answer in the reply buffer for its question. */
export function storeReply(length: u32, seconds: u32, synthesized: bool, nowMs: u32): void {
  storeAnswer(replyContext.cacheKey, replyPayload, length, seconds * 1000, synthesized, dnsClock(nowMs));
}
