/**
 * `ADDRESS PORT --rate R --seconds S`: TCP connections, one after another, each closed at once by both sides. At
 * each line on standard input it starts, and answers with a {@link Connected}.
 */
import { parseArgs } from "node:util";
import { addressOf, close, read } from "../../../src/dataplane/syscalls.ts";
import { answer, type Connected } from "./protocol.ts";
import { connect, openSocket, SHUT_WR, SOCK_STREAM, shutdown, socketAddress } from "./sockets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rate: { type: "string" }, seconds: { type: "string" } },
});
const [address = "", port = ""] = positionals;
const [rate, seconds] = [Number(values.rate), Number(values.seconds)];
const remote = socketAddress(address, Number(port));
const buffer = new Uint8Array(8);
const bufferAddress = addressOf(buffer);
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Whether the connection came about and the other side closed it in order. */
function visit(): boolean {
  const fd = openSocket(address, SOCK_STREAM);
  const good =
    connect(fd, remote, remote.length) === 0 &&
    shutdown(fd, SHUT_WR) === 0 &&
    read(fd, bufferAddress, buffer.length) === 0;
  close(fd);
  return good;
}

function run(): Connected {
  const started = performance.now();
  const end = started + seconds * 1000;
  let [connections, failures] = [0, 0];
  for (let now = started; now < end; now = performance.now()) {
    const wait = started + ((connections + failures) / rate) * 1000 - now;
    if (wait > 0) Atomics.wait(pause, 0, 0, wait);
    else if (visit()) connections++;
    else failures++;
  }
  return { connections, failures, seconds: (performance.now() - started) / 1000 };
}

answer({ ready: true });
process.stdin.on("data", () => answer(run()));
