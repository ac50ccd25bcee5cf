/** What follows a decision: counters, the log of refusals, the end of the connection. */
import { DropReason } from "../core/verdict";
import { podHi, podLo, podPort, server, targetHi, targetLo, targetPort } from "./connection";
import { DOWNSTREAM, LogLevel, STOP, closeStream } from "./hostcalls";
import { logText } from "./log";
import { countConnection, countRefusal, reasonName } from "./metrics";
import { Root } from "./roots";
import { beginText, put, putDecimal, putEndpoint } from "./text";

/** Lines a second and VM: what goes beyond is summed up. */
const MOST_LINES: u32 = 50;
let lines: u32 = 0;
let leftOut: u32 = 0;
let secondMs: u64 = 0;

export function admit(): void {
  countConnection(server);
}

/** Refuses the connection of the effective context, which decide() looked at last. */
export function turnAway(root: Root, reason: DropReason): u32 {
  noteRefusal(root, reason);
  closeStream(DOWNSTREAM);
  return STOP;
}

export function noteRefusal(root: Root, reason: DropReason): void {
  countRefusal(reason);
  if (root.logRefusals == 0) return;
  if (lines++ < MOST_LINES) logRefusal(reason);
  else leftOut++;
}

function logRefusal(reason: DropReason): void {
  beginText();
  put("refused ");
  putEndpoint(podLo, podHi, podPort);
  put(" to ");
  putEndpoint(targetLo, targetHi, targetPort);
  put(": ");
  put(reasonName(reason));
  logText(LogLevel.WARN);
}

/** On each tick. */
export function sumUpRefusals(nowMs: u64): void {
  if (nowMs - secondMs < 1000) return;
  secondMs = nowMs;
  lines = 0;
  if (leftOut == 0) return;
  beginText();
  put("refused ");
  putDecimal(leftOut);
  put(" more");
  logText(LogLevel.WARN);
  leftOut = 0;
}
