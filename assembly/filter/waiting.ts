/** Connections that wait for what the gateway must say, and the questions under way: one for all who wait for an address. */
import { mappedHi } from "../core/address";
import { DropReason } from "../core/verdict";
import { Outcome, decide, readEnds, refusal, tell, wantedBE } from "./connection";
import { Buffer, DOWNSTREAM, OK, STOP, continueStream, getBufferBytes, setEffectiveContext } from "./hostcalls";
import { get, responseStatus } from "./http";
import { resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { admit, turnAway } from "./outcome";
import { Root, newestFilterRoot } from "./roots";
import { beginText, put, putAddress } from "./text";

@unmanaged
@final
class Waiting {
  deadlineMs: u64;
  context: u32;
  /** 0: it waits for the settings. */
  nat4BE: u32;
}
const WAITING_SIZE: usize = 16;
const MAX_WAITING: u32 = 4096;
const WAITING = memory.data(16 * 4096, 8);
let waitingCount: u32 = 0;

@unmanaged
@final
class Ask {
  endMs: u64;
  token: u32;
  nat4BE: u32;
}
const ASK_SIZE: usize = 16;
const MAX_ASKS: u32 = 512;
const ASKS = memory.data(16 * 512, 8);
let askCount: u32 = 0;

/** A question may take as long as this; a connection may wait longer, and is then asked for again. */
const ASK_TIMEOUT_MS: u32 = 2000;
const RETRY_MS: u64 = 250;
/** Envoy answers each question, unless the plugin's configuration that asked is gone by then. */
const GRACE_MS: u64 = 500;
let retryAtMs: u64 = 0;

/** Nothing lies further ahead than this, unless somebody has set the clock back. */
const FARTHEST_MS: u64 = 10000;

function isOver(endMs: u64, nowMs: u64): bool {
  return nowMs >= endMs || endMs - nowMs > FARTHEST_MS;
}

function waiting(index: u32): Waiting {
  return changetype<Waiting>(WAITING + <usize>index * WAITING_SIZE);
}

function ask(index: u32): Ask {
  return changetype<Ask>(ASKS + <usize>index * ASK_SIZE);
}

/** The connection that was just decided about waits. → the answer to proxy_on_new_connection. */
export function wait(root: Root, context: u32, outcome: Outcome, nowMs: u64): u32 {
  if (waitingCount == MAX_WAITING) return turnAway(root, DropReason.MAPPING_QUEUE_FULL);
  const entry = waiting(waitingCount++);
  entry.context = context;
  entry.nat4BE = outcome == Outcome.ASK ? wantedBE : 0;
  entry.deadlineMs = nowMs + root.waitMs;
  if (entry.nat4BE != 0) askOnce(root, entry.nat4BE, nowMs);
  return STOP;
}

function isAsked(nat4BE: u32): bool {
  for (let i: u32 = 0; i < askCount; i++) if (ask(i).nat4BE == nat4BE) return true;
  return false;
}

/** By the root context: the connection that asks may be gone when the answer comes. */
function askOnce(root: Root, nat4BE: u32, nowMs: u64): void {
  if (askCount == MAX_ASKS || isAsked(nat4BE)) return;
  if (setEffectiveContext(root.id) != OK) return;
  beginText();
  put("/v1/mappings/");
  putAddress(0, mappedHi(nat4BE));
  const token = get(root, ASK_TIMEOUT_MS);
  if (token == 0) return;
  ask(askCount).token = token;
  ask(askCount).nat4BE = nat4BE;
  ask(askCount).endMs = nowMs + ASK_TIMEOUT_MS + GRACE_MS;
  askCount++;
}

function removeAsk(index: u32): void {
  askCount--;
  if (index != askCount) memory.copy(changetype<usize>(ask(index)), changetype<usize>(ask(askCount)), ASK_SIZE);
}

/** Or its address could never be asked for again. */
function forgetUnanswered(nowMs: u64): void {
  for (let i: u32 = 0; i < askCount; ) {
    if (!isOver(ask(i).endMs, nowMs)) i++;
    else removeAsk(i);
  }
}

function removeWaiting(index: u32): void {
  waitingCount--;
  if (index != waitingCount) memory.copy(changetype<usize>(waiting(index)), changetype<usize>(waiting(waitingCount)), WAITING_SIZE);
}

/** The answer: 200 with the host's 16 bytes, 404, or no word of the gateway, which is asked again. */
export function mappingAnswered(root: Root, token: u32, nowMs: u64): void {
  let nat4BE: u32 = 0;
  for (let i: u32 = 0; i < askCount; i++) {
    if (ask(i).token != token) continue;
    nat4BE = ask(i).nat4BE;
    removeAsk(i);
    break;
  }
  if (nat4BE == 0) return;
  const status = responseStatus();
  let lo: u64 = 0;
  let hi: u64 = 0;
  if (status == 200) {
    takeBack();
    if (getBufferBytes(Buffer.HTTP_CALL_RESPONSE_BODY, 0, 16, resultPointer, resultSizePointer) != OK) return;
    if (resultSize() != 16 || resultAt() == 0) return;
    lo = load<u64>(resultAt());
    hi = load<u64>(resultAt(), 8);
  } else if (status != 404) return;
  if (status == 200) tell(nat4BE, lo, hi);
  for (let i: u32 = 0; i < waitingCount; ) {
    if (waiting(i).nat4BE != nat4BE) i++;
    else if (status == 404) end(root, i, DropReason.MAPPING_UNKNOWN);
    else if (!goOn(root, i, nowMs)) i++;
  }
  tell(0, 0, 0);
}

/** The one that waits is refused, once and for all; unless it has gone away meanwhile. */
function end(root: Root, index: u32, reason: DropReason): void {
  const context = waiting(index).context;
  removeWaiting(index);
  if (setEffectiveContext(context) != OK) return;
  // For the log.
  readEnds();
  turnAway(root, reason);
}

/** Decides anew. False: it waits still. */
function goOn(root: Root, index: u32, nowMs: u64): bool {
  const entry = waiting(index);
  const context = entry.context;
  if (setEffectiveContext(context) != OK) {
    removeWaiting(index);
    return true;
  }
  const outcome = decide();
  if (outcome == Outcome.WAIT) return false;
  if (outcome == Outcome.ASK) {
    const before = entry.nat4BE;
    entry.nat4BE = wantedBE;
    if (before != wantedBE) askOnce(root, wantedBE, nowMs);
    return false;
  }
  removeWaiting(index);
  if (outcome == Outcome.REFUSED) turnAway(root, refusal);
  else {
    admit();
    continueStream(DOWNSTREAM);
  }
  return true;
}

/** On each tick; `news`: mappings or settings have changed. */
export function lookAtWaiting(nowMs: u64, news: bool): void {
  if (waitingCount == 0) return;
  const root = newestFilterRoot();
  if (root == null) return;
  const retry = isOver(retryAtMs, nowMs);
  if (retry) {
    retryAtMs = nowMs + RETRY_MS;
    forgetUnanswered(nowMs);
  }
  for (let i: u32 = 0; i < waitingCount; ) {
    const entry = waiting(i);
    if (news && goOn(root, i, nowMs)) continue;
    if (isOver(entry.deadlineMs, nowMs)) {
      end(root, i, entry.nat4BE == 0 ? DropReason.EGRESS_NOT_CONFIGURED : DropReason.MAPPING_TIMEOUT);
      continue;
    }
    if (retry && entry.nat4BE != 0) askOnce(root, entry.nat4BE, nowMs);
    i++;
  }
}
