/**
 * The plugin's configuration: a JSON object of the schema deploy/envoy/filter.schema.json. Flat, so that reading it takes
 * no tree; what is wrong is told with the place.
 */
import { LogLevel } from "./hostcalls";
import { logText } from "./log";
import { CLUSTER_SIZE, Root } from "./roots";
import { beginText, put, putDecimal, putPrintable } from "./text";

const LEAST_WAIT_MS: u32 = 100;
const MOST_WAIT_MS: u32 = 5000;
const DEFAULT_WAIT_MS: u32 = 3000;

let start: usize = 0;
let at: usize = 0;
let end: usize = 0;
let stringAt: usize = 0;
let stringSize: u32 = 0;

/** False: it is wrong, which Envoy's log tells. */
export function readConfiguration(root: Root, p: usize, size: u32): bool {
  start = at = p;
  end = p + size;
  root.clusterSize = 0;
  root.waitMs = DEFAULT_WAIT_MS;
  root.logRefusals = 1;
  space();
  if (!skip(0x7b)) return wrong("a JSON object is expected");
  space();
  if (!skip(0x7d)) {
    while (true) {
      if (!readField(root)) return false;
      space();
      if (skip(0x7d)) break;
      if (!skip(0x2c)) return wrong("',' or '}' is expected");
      space();
    }
  }
  space();
  if (at != end) return wrong("nothing may follow the object");
  return root.clusterSize > 0 || wrong("feedCluster is missing: the name of the cluster that leads to the gateway's feed");
}

function readField(root: Root): bool {
  const place = at;
  if (!readString()) return wrong("a field's name in quotes is expected");
  const name = stringAt;
  const size = stringSize;
  space();
  if (!skip(0x3a)) return wrong("':' is expected");
  space();
  const value = at;
  if (isName(name, size, "feedCluster")) {
    if (!readString()) return wrong("feedCluster must be a string");
    if (stringSize == 0 || stringSize > CLUSTER_SIZE) return wrongAt(value, "feedCluster must have 1 to 64 characters");
    memory.copy(root.cluster, stringAt, stringSize);
    root.clusterSize = stringSize;
    return true;
  }
  if (isName(name, size, "waitMs")) {
    const ms = readNumber();
    if (ms < LEAST_WAIT_MS || ms > MOST_WAIT_MS) return wrongAt(value, "waitMs must be a whole number from 100 to 5000");
    root.waitMs = ms;
    return true;
  }
  if (isName(name, size, "logRefusals")) {
    if (readWord("true")) root.logRefusals = 1;
    else if (readWord("false")) root.logRefusals = 0;
    else return wrong("logRefusals must be true or false");
    return true;
  }
  beginWrong(place);
  put("unknown field '");
  putPrintable(name, min(size, 64));
  put("' (known: feedCluster, waitMs, logRefusals)");
  logText(LogLevel.ERROR);
  return false;
}

function wrong(text: string): bool {
  return wrongAt(at, text);
}

function wrongAt(place: usize, text: string): bool {
  beginWrong(place);
  put(text);
  logText(LogLevel.ERROR);
  return false;
}

function beginWrong(place: usize): void {
  beginText();
  put("filter configuration, character ");
  putDecimal(<u32>(place - start) + 1);
  put(": ");
}

function space(): void {
  while (at < end) {
    const byte = load<u8>(at);
    if (byte != 0x20 && byte != 0x09 && byte != 0x0a && byte != 0x0d) return;
    at++;
  }
}

function skip(byte: u32): bool {
  if (at >= end || load<u8>(at) != byte) return false;
  at++;
  return true;
}

/** Without escapes: no value of the schema needs one. */
function readString(): bool {
  if (!skip(0x22)) return false;
  stringAt = at;
  while (at < end && load<u8>(at) != 0x22) {
    if (load<u8>(at) == 0x5c || load<u8>(at) < 0x20) return false;
    at++;
  }
  stringSize = <u32>(at - stringAt);
  return skip(0x22);
}

/** 0: it is not one, or too large. */
function readNumber(): u32 {
  let value: u32 = 0;
  const first = at;
  while (at < end && <u32>load<u8>(at) - 0x30 < 10) {
    value = value * 10 + load<u8>(at++) - 0x30;
    if (value > 1000000) return 0;
  }
  if (at < end && (load<u8>(at) == 0x2e || (load<u8>(at) | 0x20) == 0x65)) return 0;
  return at == first ? 0 : value;
}

function readWord(word: string): bool {
  const size = <u32>word.length;
  if (!isName(at, <u32>(end - at) < size ? <u32>(end - at) : size, word)) return false;
  at += size;
  return true;
}

function isName(p: usize, size: u32, name: string): bool {
  if (size != <u32>name.length) return false;
  for (let i: u32 = 0; i < size; i++)
    if (<u32>load<u8>(p + i) != <u32>load<u16>(changetype<usize>(name) + (<usize>i << 1))) return false;
  return true;
}
