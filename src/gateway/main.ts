/** The gateway process: unprivileged, started by netd, which gives it the TUNs and makes its network plans real. */
import { explain } from "../errors.ts";
import { createLogger, type LogLevel } from "../log.ts";
import type { ToGateway } from "../netd/protocol.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { connectNetd } from "./netd-link.ts";

let gateway: Promise<Gateway> | undefined;

const netd = connectNetd((message) => {
  switch (message.type) {
    case "start":
      gateway = start(message);
      return;
    case "facts":
      void gateway?.then((running) => running.factsChanged(message.facts));
      return;
    case "feed-tls":
      void gateway?.then((running) => running.feedTlsChanged(message.feedTls));
      return;
    case "dns-sockets":
      void gateway?.then((running) => running.dnsSockets(message.sockets));
      return;
    case "stop":
      void gateway?.then((running) => running.stop()).finally(() => process.exit(0));
  }
});

function start({ options, facts, contents }: ToGateway & { type: "start" }): Promise<Gateway> {
  const log = createLogger(options.logLevel as LogLevel);
  const failed = (error: Error) => {
    log.fatal({ err: error }, explain(error));
    process.exit(1);
  };
  process.on("uncaughtException", failed);
  const started = startGateway({ options, contents, facts, netd, log, failed });
  started.catch((error) => netd.fatal(explain(error)));
  return started;
}
