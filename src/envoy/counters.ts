/** Envoy's own figures of what the filter did, for the gateway's API and metrics. */
import type { EngineCounters } from "../engine/counters.ts";
import { dropReasons, Path, VirtualServer } from "../engine/layout.gen.ts";
import { fetchAdmin } from "./admin.ts";

export interface EnvoyCounters {
  /** As of a second ago; of an Envoy that is away, what it said last. */
  read(): EngineCounters;
  close(): void;
}

const everyMs = 1000;

/** Follows the admin interface of the Envoy beside the gateway. */
export function followCounters(admin: string): EnvoyCounters {
  let last = parseStats("");
  const look = () =>
    void fetchAdmin(admin, "/stats?filter=egress46_").then(
      (text) => {
        last = parseStats(text);
      },
      () => undefined,
    );
  const timer = setInterval(look, everyMs).unref();
  look();
  return { read: () => last, close: () => clearInterval(timer) };
}

/** Text of Envoy's /stats: `wasmcustom.NAME: VALUE` lines. */
export function parseStats(text: string): EngineCounters {
  const values = new Map(
    [...text.matchAll(/^wasmcustom\.egress46_(\S+): (\d+)$/gm)].map(([, name, value]) => [
      name,
      Number(value),
    ]),
  );
  const servers = Object.keys(VirtualServer).map((name) => name.toLowerCase().replaceAll("_", "-"));
  return {
    connections: servers.map((name) => values.get(`connections_total.virtual_server.${name}`) ?? 0),
    // Which of its connections are alive Envoy doesn't tell by virtual server.
    alive: servers.map(() => 0),
    drops: dropReasons.map(({ name }) => values.get(`drops_total.reason.${name}`) ?? 0),
    packets: Object.keys(Path).map(() => 0),
    bytes: Object.keys(Path).map(() => 0),
  };
}
