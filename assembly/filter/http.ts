/** GET requests to the gateway's feed. */
import { HTTP_CALL_RESPONSE_HEADERS, OK, getHeaderMapValue, httpCall } from "./hostcalls";
import { numberPointer, resultAt, resultPointer, resultSize, resultSizePointer } from "./lent";
import { Root } from "./roots";
import { ascii, textAt, textSize } from "./text";

const HEADERS = memory.data(1280, 8);
const EMPTY = memory.data(8, 8);
const STATUS = memory.data(8, 8);
const statusSize = ascii(":status", STATUS);

/** The text is the path. → the call's token; 0 = it was not taken. */
export function get(root: Root, timeoutMs: u32): u32 {
  store<u32>(HEADERS, 3);
  let at: usize = HEADERS + 4 + 3 * 8;
  at = pair(0, at, ascii(":method", at), "GET");
  const path = at;
  let nameSize = ascii(":path", at);
  at += nameSize;
  store<u8>(at++, 0);
  memory.copy(at, textAt(), textSize());
  at += textSize();
  store<u8>(at++, 0);
  store<u32>(HEADERS + 4 + 8, nameSize);
  store<u32>(HEADERS + 4 + 12, <u32>(at - path) - nameSize - 2);
  at = pair(2, at, ascii(":authority", at), "egress46");
  store<u32>(numberPointer, 0);
  const status = httpCall(
    root.cluster,
    root.clusterSize,
    HEADERS,
    at - HEADERS,
    EMPTY,
    0,
    EMPTY,
    4,
    timeoutMs,
    numberPointer,
  );
  return status == OK ? load<u32>(numberPointer) : 0;
}

/** The name stands at `at` already. */
function pair(index: u32, at: usize, nameSize: u32, value: string): usize {
  store<u32>(HEADERS + 4 + (index << 3), nameSize);
  at += nameSize;
  store<u8>(at++, 0);
  const valueSize = ascii(value, at);
  store<u32>(HEADERS + 8 + (index << 3), valueSize);
  at += valueSize;
  store<u8>(at++, 0);
  return at;
}

/** Of the response at hand; 0 = there is none. */
export function responseStatus(): u32 {
  if (getHeaderMapValue(HTTP_CALL_RESPONSE_HEADERS, STATUS, statusSize, resultPointer, resultSizePointer) != OK) return 0;
  const p = resultAt();
  if (p == 0 || resultSize() != 3) return 0;
  return (<u32>load<u8>(p) - 0x30) * 100 + (<u32>load<u8>(p, 1) - 0x30) * 10 + (<u32>load<u8>(p, 2) - 0x30);
}
