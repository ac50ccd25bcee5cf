/**
 * What Envoy calls: a network filter (root id `egress46`), and in the same module the singleton that follows the gateway's
 * feed (root id `egress46-feed`). Each worker thread of Envoy has a VM of its own; shared data is all that they share.
 * No host call may happen before `_initialize` has returned. Each callback that is exported costs every connection a
 * call into the VM: only the one that decides is, so contexts that are gone are found out when they are needed.
 */
import { Outcome, decide, refusal } from "./connection";
import {
  Buffer,
  CONTINUE,
  LogLevel,
  OK,
  STOP,
  closeStream,
  DOWNSTREAM,
  getBufferBytes,
  getCurrentTime,
  getProperty,
  setTickPeriod,
} from "./hostcalls";
import { lend, numberPointer, resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { logText } from "./log";
import { readConfiguration } from "./configuration";
import { defineMetrics, handOverMetrics } from "./metrics";
import { noteFailure } from "./failure";
import { admit, sumUpRefusals, turnAway } from "./outcome";
import { feedAnswered, followFeed } from "./publish";
import { Role, addRoot, newestFilterRoot, rootOf } from "./roots";
import { makeRoom, sync } from "./table";
import { ascii, beginText, put } from "./text";
import { lookAtWaiting, mappingAnswered, wait } from "./waiting";

/** A new mapping is usable within this time without a question, and counters are as old as this at most. */
const TICK_MS: u32 = 10;

const ROOT_ID = memory.data(16, 8);
const rootIdSize = ascii("plugin_root_id", ROOT_ID);
const FEED_ID = memory.data(16, 8);
const feedIdSize = ascii("egress46-feed", FEED_ID);

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: u32): usize {
  return lend(size);
}

export function proxy_on_vm_start(root: u32, size: u32): u32 {
  makeRoom(0);
  return 1;
}

function isFeed(): bool {
  if (getProperty(ROOT_ID, rootIdSize, resultPointer, resultSizePointer) != OK) return false;
  if (resultSize() != feedIdSize) return false;
  return memory.compare(resultAt(), FEED_ID, feedIdSize) == 0;
}

export function proxy_on_configure(context: u32, size: u32): u32 {
  takeBack();
  const root = addRoot(context, isFeed() ? Role.FEED : Role.FILTER);
  takeBack();
  if (root == null) return 0;
  if (getBufferBytes(Buffer.PLUGIN_CONFIGURATION, 0, size, resultPointer, resultSizePointer) != OK || size == 0) {
    beginText();
    put("filter configuration: there is none; the least is {\"feedCluster\": \"egress46_feed\"}");
    logText(LogLevel.ERROR);
    return 0;
  }
  if (!readConfiguration(root, resultAt(), resultSize())) return 0;
  defineMetrics();
  setTickPeriod(TICK_MS);
  if (root.role == Role.FILTER) sync();
  return 1;
}

function nowMs(): u64 {
  getCurrentTime(numberPointer);
  return load<u64>(numberPointer) / 1000000;
}

export function proxy_on_tick(context: u32): void {
  takeBack();
  const root = rootOf(context);
  if (root == null) return;
  const now = nowMs();
  if (root.role == Role.FEED) followFeed(root, now);
  else {
    const news = sync();
    lookAtWaiting(now, news);
    sumUpRefusals(now);
  }
  handOverMetrics();
}

export function proxy_on_new_connection(context: u32): u32 {
  const root = newestFilterRoot();
  if (root == null) {
    closeStream(DOWNSTREAM);
    return STOP;
  }
  let outcome = decide();
  // Before anybody is asked: what came since the last tick.
  if (outcome >= Outcome.ASK && sync()) outcome = decide();
  if (outcome == Outcome.ALLOWED) {
    admit();
    return CONTINUE;
  }
  if (outcome == Outcome.REFUSED) return turnAway(root, refusal);
  return wait(root, context, outcome, nowMs());
}

export function proxy_on_http_call_response(
  context: u32,
  token: u32,
  headers: u32,
  bodySize: u32,
  trailers: u32,
): void {
  takeBack();
  const root = rootOf(context);
  if (root == null) return;
  if (root.role == Role.FEED) feedAnswered(root, token, bodySize, nowMs());
  else mappingAnswered(root, token, nowMs());
}

/** Envoy tells only of connections whose upstream failed (src/envoy/listeners.ts). */
export function proxy_on_log(context: u32): void {
  const root = rootOf(context);
  if (root != null) noteFailure(root);
}
