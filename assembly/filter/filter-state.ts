/** Envoy's foreign function `set_envoy_filter_state`: SetEnvoyFilterStateArguments {path = 1, value = 2, span = 3}. */
import { callForeignFunction } from "./hostcalls";
import { resultPointer, resultSizePointer } from "./lent";
import { ascii, textAt, textSize } from "./text";

/** Reaches the upstream's side, too. */
const DOWNSTREAM_CONNECTION: u8 = 2;

const NAME = memory.data(32, 8);
const nameSize = ascii("set_envoy_filter_state", NAME);
const ARGUMENT = memory.data(256, 8);

/** The text is the value; both are shorter than 128 bytes, so that a length is one byte. */
export function setFilterState(path: string): void {
  let at: usize = ARGUMENT;
  store<u8>(at, 0x0a);
  const size = ascii(path, at + 2);
  store<u8>(at, size, 1);
  at += 2 + size;
  store<u8>(at, 0x12);
  store<u8>(at, textSize(), 1);
  memory.copy(at + 2, textAt(), textSize());
  at += 2 + textSize();
  store<u8>(at, 0x18);
  store<u8>(at, DOWNSTREAM_CONNECTION, 1);
  callForeignFunction(NAME, nameSize, ARGUMENT, at + 2 - ARGUMENT, resultPointer, resultSizePointer);
}
