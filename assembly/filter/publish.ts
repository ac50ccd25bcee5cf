/** The singleton: follows the gateway's feed and writes it into shared data. */
import { CHUNK, FEED_HEADER, FORMAT, FeedHeader, HEAD_SIZE, Head, MAGIC, RECORD_SIZE } from "./format";
import { Buffer, LogLevel, OK, getBufferBytes } from "./hostcalls";
import { get, responseStatus } from "./http";
import { resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { logText } from "./log";
import { countFeedFailure } from "./metrics";
import { Root } from "./roots";
import { readHead, writeChunk, writeHead, writeSettings } from "./shared";
import { beginText, put, putDecimal, putHex64 } from "./text";

/** The gateway answers within 5 s, changes or not. */
const POLL_TIMEOUT_MS: u32 = 8000;
const RETRY_MS: u64 = 200;
const GRACE_MS: u64 = 2000;
/** A log this much longer than what it says is written anew. */
const SLACK: u32 = 1 << 20;

const TAIL = memory.data(819 * 20, 16);
const HEAD = memory.data(24, 8);
const CHUNKS = memory.data(8, 8);

let asking: u32 = 0;
let askedMs: u64 = 0;
let notBeforeMs: u64 = 0;
let failing: bool = false;
let epoch: u64 = 0;
let position: u32 = 0;
let generation: u32 = 0;
let logSize: u32 = 0;
let mappings: u32 = 0;
let settingsVersion: u32 = 0;
let settingsSize: u32 = 0;

/** On each tick. */
export function followFeed(root: Root, nowMs: u64): void {
  // Envoy answers each call, unless the configuration that asked is gone by then.
  if (asking != 0 && nowMs < askedMs + POLL_TIMEOUT_MS + GRACE_MS) return;
  // Not for longer, whatever becomes of the clock.
  if (nowMs < notBeforeMs && notBeforeMs - nowMs <= RETRY_MS) return;
  askedMs = nowMs;
  beginText();
  put("/v1/feed?");
  if (epoch != 0 && logSize <= 2 * mappings * RECORD_SIZE + SLACK) {
    put("epoch=");
    putHex64(epoch);
    put("&position=");
    putDecimal(position);
    put("&settings=");
    putDecimal(settingsVersion);
  }
  asking = get(root, POLL_TIMEOUT_MS);
  if (asking == 0) failed(root, nowMs, "the host does not take the call: is the cluster there?");
}

/** True: it was ours. */
export function feedAnswered(root: Root, token: u32, bodySize: u32, nowMs: u64): bool {
  if (token == 0 || token != asking) return false;
  asking = 0;
  const status = responseStatus();
  if (status != 200) {
    failed(root, nowMs, status == 503 ? "it does not answer, or is not ready yet" : "it refuses");
    return true;
  }
  if (!publish(bodySize)) {
    epoch = 0;
    failed(root, nowMs, "what it sends is malformed");
    return true;
  }
  if (failing) {
    beginText();
    put("the feed of the gateway is there");
    logText(LogLevel.INFO);
  }
  failing = false;
  // From here, not at the next tick: a burst of changes is passed on without a pause.
  followFeed(root, nowMs);
  return true;
}

function failed(root: Root, nowMs: u64, reason: string): void {
  notBeforeMs = nowMs + RETRY_MS;
  countFeedFailure();
  if (!failing) {
    beginText();
    put("no feed from the gateway: ");
    put(reason);
    put("; known mappings go on");
    logText(LogLevel.WARN);
  }
  failing = true;
}

function body(start: u32, size: u32): bool {
  takeBack();
  if (getBufferBytes(Buffer.HTTP_CALL_RESPONSE_BODY, start, size, resultPointer, resultSizePointer) != OK) return false;
  return resultSize() == size && resultAt() != 0;
}

function publish(bodySize: u32): bool {
  if (bodySize < FEED_HEADER || !body(0, FEED_HEADER)) return false;
  const header = changetype<FeedHeader>(resultAt());
  if (header.magic != MAGIC || header.format != FORMAT || header.epoch == 0) return false;
  const full = header.full != 0;
  if (!full && header.epoch != epoch) return false;
  const records = header.records;
  const settings = header.settingsSize;
  if (<u64>FEED_HEADER + settings + <u64>records * RECORD_SIZE != <u64>bodySize) return false;
  const nextEpoch = header.epoch;
  const nextPosition = header.position;
  const nextVersion = header.settingsVersion;
  mappings = header.mappings;
  if (settings > 0) {
    if (!body(FEED_HEADER, settings) || !writeSettings(resultAt(), settings)) return false;
    settingsSize = settings;
  }
  if (full) beginLog();
  if (!append(FEED_HEADER + settings, records * RECORD_SIZE)) return false;
  if (full) emptyRest();
  epoch = nextEpoch;
  position = nextPosition;
  settingsVersion = nextVersion;
  const head = changetype<Head>(HEAD);
  head.magic = MAGIC;
  head.generation = generation;
  head.logSize = logSize;
  head.mappings = mappings;
  head.settingsVersion = settingsVersion;
  head.settingsSize = settingsSize;
  return writeHead(HEAD, HEAD_SIZE);
}

/** Never a generation that a worker may have: this VM may be the successor of one that failed. */
function beginLog(): void {
  takeBack();
  if (generation == 0 && readHead() && resultSize() == HEAD_SIZE) generation = changetype<Head>(resultAt()).generation;
  generation++;
  if (generation == 0) generation = 2;
  logSize = 0;
}

function append(start: u32, size: u32): bool {
  let done: u32 = 0;
  while (done < size) {
    const filled = logSize % CHUNK;
    const piece = min(size - done, CHUNK - filled);
    if (!body(start + done, piece)) return false;
    memory.copy(TAIL + filled, resultAt(), piece);
    if (!writeChunk(generation, logSize / CHUNK, TAIL, filled + piece)) return false;
    logSize += piece;
    done += piece;
  }
  return true;
}

/** What the last but one generation had more gives its memory back. */
function emptyRest(): void {
  const count = CHUNKS + ((generation & 1) << 2);
  const now = (logSize + CHUNK - 1) / CHUNK;
  for (let chunk = now; chunk < load<u32>(count); chunk++) writeChunk(generation, chunk, TAIL, 0);
  store<u32>(count, now);
}
