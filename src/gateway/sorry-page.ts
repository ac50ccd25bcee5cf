import { createServer, type Server } from "node:http";
import type { Logger } from "../log.ts";

/** When dnsNat46SorryIp was handed out it was for a minute. */
const retryAfterS = 60;
const maxConnections = 256;
const patienceMs = 5000;

const page = `<!doctype html>
<html lang="en">
<title>No address free</title>
<h1>No address free</h1>
<p>The name that you asked for leads to an IPv6 host, and the egress gateway has no IPv4 address left to stand for it.
Try again in a minute.
</html>
`;

/** What HTTP clients get that dial dnsNat46SorryIp: 503, whatever they ask for. `fd` is a listening TCP socket. */
export function serveSorryPage(fd: number, log: Logger): Server {
  const server = createServer({ headersTimeout: patienceMs, requestTimeout: patienceMs }, (_, response) => {
    response.writeHead(503, {
      "content-type": "text/html; charset=utf-8",
      "content-length": String(Buffer.byteLength(page)),
      "retry-after": String(retryAfterS),
      "cache-control": "no-store",
      connection: "close",
    });
    response.end(page);
  });
  server.maxConnections = maxConnections;
  server.on("error", (error) => log.error({ err: error }, "the sorry page failed"));
  return server.listen({ fd });
}
