/**
 * `PORT --flows N`: takes the datagrams of udp-send and looks at each. A line on standard input ends it; it answers
 * with a {@link Received} once nothing more comes.
 */
import { parseArgs } from "node:util";
import { answer, datagramBytes, isWhole, type Received } from "./protocol.ts";
import { MSG_DONTWAIT, messages, openServer, recvmmsg, SOCK_DGRAM } from "./sockets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { flows: { type: "string" } },
});
const flows = Number(values.flows);
const batch = 256;
/** Longer than a datagram, so that one that is too long shows. */
const room = 128;
const words = room / 4;
/** A million packets a second for a minute. */
const maxSerial = 1 << 26;
/** Nothing came for so many milliseconds: nothing comes any more. */
const quietTurns = 200;

const fd = openServer(SOCK_DGRAM, Number(positionals[0]), 8 << 20);
const into = messages(batch, room);
const pause = new Int32Array(new SharedArrayBuffer(4));
const seen = new Uint8Array(maxSerial >> 3);
const latest = new Int32Array(flows).fill(-1);

let [received, duplicates, reordered, corrupt] = [0, 0, 0, 0];
let [first, last] = [0, 0];

function account(i: number): void {
  const at = i * words;
  const serial = into.words[at]!;
  const flow = into.words[at + 2]!;
  if (
    into.length(i) !== datagramBytes ||
    !isWhole(into.words, at) ||
    serial % flows !== flow ||
    serial >= maxSerial
  ) {
    corrupt++;
    return;
  }
  received++;
  const bit = 1 << (serial & 7);
  if (seen[serial >> 3]! & bit) duplicates++;
  seen[serial >> 3]! |= bit;
  if (serial < latest[flow]!) reordered++;
  else latest[flow] = serial;
}

/** False when there is nothing now. */
function take(): boolean {
  const count = recvmmsg(fd, into.address, batch, MSG_DONTWAIT, 0);
  if (count <= 0) return false;
  last = performance.now();
  if (received === 0) first = last;
  for (let i = 0; i < count; i++) account(i);
  return true;
}

let ending = false;
process.stdin.once("data", () => {
  ending = true;
});
answer({ ready: true });
// It looks every millisecond rather than wait in the kernel: waking it would be work of the sender, at each datagram.
for (let quiet = 0; !ending || quiet < quietTurns; ) {
  quiet++;
  // The event loop gets its turn, for the line that ends it.
  for (let calls = 0; calls < 64 && take(); calls++) quiet = 0;
  Atomics.wait(pause, 0, 0, 1);
  await new Promise(setImmediate);
}
answer({
  received,
  duplicates,
  reordered,
  corrupt,
  seconds: (last - first) / 1000,
} satisfies Received);
