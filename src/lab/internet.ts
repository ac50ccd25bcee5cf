import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { labAddresses } from "./addresses.ts";
import type { DnsExchange, Zone } from "./dns-server.ts";
import { environment } from "./execute.ts";
import type { Topology } from "./topology.ts";
import type { Visit, WebServer } from "./web-server.ts";
import { labZone } from "./zone.ts";

export interface InternetSpec {
  readonly web: readonly WebServer[];
  readonly dns: readonly { readonly address: string; readonly zone: Zone }[];
}

export type InternetEvent =
  | { readonly type: "ready" }
  | { readonly type: "visit"; readonly visit: Visit }
  | { readonly type: "exchange"; readonly exchange: DnsExchange }
  | { readonly type: "failed"; readonly reason: string };

export interface Internet {
  /** The web servers' log so far. */
  readonly visits: readonly Visit[];
  /** The DNS servers' log so far. */
  readonly exchanges: readonly DnsExchange[];
  stop(): Promise<void>;
}

const { web, dns, sorry } = labAddresses;

export const labServers: readonly WebServer[] = [
  { name: "v6only.example", address: web.v6only, port: 80 },
  { name: "dual.example", address: web.dual4, port: 80 },
  { name: "dual.example", address: web.dual6, port: 80 },
  { name: "v4only.example", address: web.v4only, port: 80 },
  { name: "manual.example", address: web.manual, port: 8080 },
  { name: "sorry.example", address: sorry, port: 80 },
];

/** The servers of the lab's internet: one process in its namespace, which ends with us. */
export async function startInternet(
  topology: Topology,
  spec: InternetSpec = { web: labServers, dns: dns.map((address) => ({ address, zone: labZone })) },
): Promise<Internet> {
  const script = fileURLToPath(new URL("internet-process.js", import.meta.url));
  const [program = "", ...args] = topology.internet.inside([process.execPath, script]);
  const child = spawn(program, args, {
    env: environment,
    detached: true,
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  topology.cleanup.defer(() => child.kill("SIGKILL"));
  const visits: Visit[] = [];
  const exchanges: DnsExchange[] = [];
  child.on("message", (event: InternetEvent) => {
    if (event.type === "visit") visits.push(event.visit);
    if (event.type === "exchange") exchanges.push(event.exchange);
  });
  let log = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = once(child, "close");
  child.send(spec);
  const [first] = (await Promise.race([once(child, "message"), ended])) as [InternetEvent | number];
  if (typeof first !== "object" || first?.type !== "ready")
    throw new Error(
      `the lab's internet did not start: ${typeof first === "object" ? JSON.stringify(first) : log}`,
    );
  return {
    visits,
    exchanges,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
