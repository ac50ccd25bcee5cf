/** Shared data: one singleton writes, every worker reads. Keys: `head`, `settings`, `log/PARITY/CHUNK`. */
import { OK, getSharedData, setSharedData } from "./hostcalls";
import { numberPointer, resultAt, resultPointer, resultSize, resultSizePointer } from "./lent";
import { ascii, beginText, put, putByte, putDecimal, textAt, textSize } from "./text";

const HEAD_KEY = memory.data(8, 8);
const SETTINGS_KEY = memory.data(8, 8);
const headKeySize = ascii("head", HEAD_KEY);
const settingsKeySize = ascii("settings", SETTINGS_KEY);

/** False: there is none. Otherwise the result is where lent.ts says. */
export function readHead(): bool {
  return read(HEAD_KEY, headKeySize);
}

export function writeHead(value: usize, size: u32): bool {
  return setSharedData(HEAD_KEY, headKeySize, value, size, 0) == OK;
}

export function readSettings(): bool {
  return read(SETTINGS_KEY, settingsKeySize);
}

export function writeSettings(value: usize, size: u32): bool {
  return setSharedData(SETTINGS_KEY, settingsKeySize, value, size, 0) == OK;
}

export function readChunk(generation: u32, chunk: u32): bool {
  chunkKey(generation, chunk);
  return read(textAt(), textSize());
}

export function writeChunk(generation: u32, chunk: u32, value: usize, size: u32): bool {
  chunkKey(generation, chunk);
  return setSharedData(textAt(), textSize(), value, size, 0) == OK;
}

/** Two generations at a time: who reads the one before is not disturbed. Nothing can be deleted, only emptied. */
function chunkKey(generation: u32, chunk: u32): void {
  beginText();
  put("log/");
  putDecimal(generation & 1);
  putByte(0x2f);
  putDecimal(chunk);
}

function read(key: usize, size: u32): bool {
  return getSharedData(key, size, resultPointer, resultSizePointer, numberPointer) == OK && resultSize() > 0 && resultAt() != 0;
}
