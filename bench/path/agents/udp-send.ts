/**
 * `ADDRESS PORT --flows N --rate R --seconds S`: 64-byte datagrams. One flow: batches by sendmmsg. Several: a socket
 * each, in turn. `--rate 0` = as fast as it goes. Starts at a line on standard input, answers with a {@link Sent}.
 */
import { parseArgs } from "node:util";
import { addressOf, checked, write } from "../../../src/dataplane/syscalls.ts";
import { answer, datagramBytes, fillDatagram, type Sent, writeDatagram } from "./protocol.ts";
import { connect, messages, openSocket, SOCK_DGRAM, sendmmsg, socketAddress } from "./sockets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { flows: { type: "string" }, rate: { type: "string" }, seconds: { type: "string" } },
});
const [address = "", port = ""] = positionals;
const [flows, rate, seconds] = [Number(values.flows), Number(values.rate), Number(values.seconds)];
/** Of the sends between two looks at the clock. */
const batch = 64;
const words = datagramBytes / 4;

const remote = socketAddress(address, Number(port));
const sockets = Array.from({ length: flows }, () => {
  const fd = openSocket(address, SOCK_DGRAM);
  checked("connect", connect(fd, remote, remote.length));
  return fd;
});
const out = messages(batch, datagramBytes);
for (let i = 0; i < batch; i++) fillDatagram(out.words, i * words);
const payload = addressOf(out.payload);
const single = sockets[0]!;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** How many of a batch got out: a full buffer somewhere on the way refuses the rest. */
function sendBatch(serial: number): number {
  for (let i = 0; i < batch; i++) writeDatagram(out.words, i * words, serial + i, (serial + i) % flows);
  if (flows === 1) return Math.max(0, sendmmsg(single, out.address, batch, 0));
  let sent = 0;
  while (
    sent < batch &&
    write(sockets[(serial + sent) % flows]!, payload + sent * datagramBytes, datagramBytes) > 0
  )
    sent++;
  return sent;
}

function run(): Sent {
  const started = performance.now();
  const end = started + seconds * 1000;
  let sent = 0;
  for (let now = started; now < end; now = performance.now()) {
    if (rate > 0) {
      const wait = started + (sent / rate) * 1000 - now;
      if (wait > 0) {
        Atomics.wait(pause, 0, 0, wait);
        continue;
      }
    }
    sent += sendBatch(sent);
  }
  return { sent, seconds: (performance.now() - started) / 1000 };
}

answer({ ready: true });
process.stdin.once("data", () => answer(run()));
