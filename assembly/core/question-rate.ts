/** dnsRateLimit (the worker's share of it): a token bucket as deep as one second. */
import { limits } from "./limits";

const QUESTION: u64 = 1000;
/** Thousandths of questions. More than any bucket holds, at first. */
let tokens: u64 = u64.MAX_VALUE >> 1;
let lastMs: u32 = 0;

/** False = one question too many. */
export function admitQuestion(nowMs: u32): bool {
  const rate: u64 = limits.dnsRate;
  if (rate == 0) return true;
  tokens = min(tokens + <u64>min<u32>(nowMs - lastMs, 1000) * rate, rate * 1000);
  lastMs = nowMs;
  if (tokens < QUESTION) return false;
  tokens -= QUESTION;
  return true;
}
