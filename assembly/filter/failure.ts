/** Why a connection that was let through came to nothing. That the far host refuses it is no business of ours. */
import { DropReason } from "../core/verdict";
import { readEnds } from "./connection";
import { OK, getProperty } from "./hostcalls";
import { resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { noteRefusal } from "./outcome";
import { Root } from "./roots";
import { ascii } from "./text";

const PATH = memory.data(40, 8);
const pathSize = ascii("upstream\0transport_failure_reason", PATH);
/** EADDRNOTAVAIL: the SNAT address has no port left for the host, or the host of Envoy doesn't have the address. */
const NO_PORT = memory.data(40, 8);
const noPortSize = ascii("annot assign requested address", NO_PORT);

export function noteFailure(root: Root): void {
  takeBack();
  if (getProperty(PATH, pathSize, resultPointer, resultSizePointer) != OK) return;
  if (!contains(resultAt(), resultSize(), NO_PORT, noPortSize)) return;
  readEnds();
  noteRefusal(root, DropReason.SNAT_PORTS_EXHAUSTED);
}

function contains(p: usize, size: u32, what: usize, length: u32): bool {
  if (p == 0) return false;
  for (let i: u32 = 0; i + length <= size; i++) if (memory.compare(p + i, what, length) == 0) return true;
  return false;
}
