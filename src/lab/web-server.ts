import { once } from "node:events";
import { createServer } from "node:http";

export interface WebServer {
  /** The name on its page. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** One line of a web server's log. */
export interface Visit {
  readonly server: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly path: string;
}

/** Serves a page that says who answers and whom it sees; resolves when it listens. */
export async function startWebServer(site: WebServer, log: (visit: Visit) => void): Promise<void> {
  const server = createServer((request, response) => {
    const { remoteAddress: source = "", remotePort: sourcePort = 0 } = request.socket;
    log({ server: site.name, source, sourcePort, path: request.url ?? "" });
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.end(`Welcome to ${site.name} at ${site.address}.\nYou come from ${source}.\n`);
  });
  server.listen({ host: site.address, port: site.port, ipv6Only: true });
  await once(server, "listening");
}
