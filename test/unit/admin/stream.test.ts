/** What a command makes of a stream that breaks off. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { followGateway } from "../../../src/cli/admin-stream.ts";

const head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

// biome-ignore format: a matrix
const endings: readonly [name: string, last: string, end: (socket: Socket) => void][] = [
  ["closes orderly", chunk('{"n":2}\n') + chunk("").trimEnd(), (socket) => socket.end("\r\n\r\n")],
  ["closes in the middle", chunk('{"n":2}\n'), (socket) => socket.end()],
  ["resets the connection", chunk('{"n":2}\n'), (socket) => socket.resetAndDestroy()],
  ["resets it in the middle of a line", chunk('{"n":2}\n{"n'), (socket) => socket.resetAndDestroy()],
  ["ends in the middle of a line", chunk('{"n":2}\n{"n') + chunk("").trimEnd(), (socket) => socket.end("\r\n\r\n")],
];

for (const [name, last, end] of endings)
  test(`a gateway that ${name}: its lines, then EG46_ADMIN_UNREACHABLE`, async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.write(head + chunk('{"n":1}\n'));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const seen: number[] = [];
    try {
      const follow = async () => {
        for await (const { n } of await followGateway<{ n: number }>("/v1/x", [`127.0.0.1:${port}`])) {
          seen.push(n);
          if (n === 1) sockets[0]!.write(last);
          else end(sockets[0]!);
        }
      };
      await assert.rejects(follow, { code: "EG46_ADMIN_UNREACHABLE", message: /the gateway has gone away/ });
      assert.deepEqual(seen, [1, 2]);
    } finally {
      server.close();
    }
  });
