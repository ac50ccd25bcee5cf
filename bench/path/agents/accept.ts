/** `PORT`: accepts TCP connections, waits for the other side to close, closes. Runs until it is killed. */
import { addressOf, checked, close, listen, read } from "../../../src/dataplane/syscalls.ts";
import { answer } from "./protocol.ts";
import { accept, openServer, SOCK_STREAM } from "./sockets.ts";

const fd = openServer(SOCK_STREAM, Number(process.argv[2]));
checked("listen", listen(fd, 1024));
const buffer = new Uint8Array(64);
const bufferAddress = addressOf(buffer);
answer({ ready: true });
setImmediate(() => {
  for (;;) {
    const connection = checked("accept", accept(fd, 0, 0));
    while (read(connection, bufferAddress, buffer.length) > 0);
    close(connection);
  }
});
