/** The gateway's side of Envoy as the data plane: the feed, DNS for its listener, and addresses that still drain. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { isIpv4 } from "../addresses.ts";
import type { DnsProxy } from "../dns/proxy.ts";
import { serveTcp, serveUdp } from "../dns/server.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createDraining, type Draining } from "./draining.ts";
import { createFeed, type FeedParts } from "./feed.ts";
import type { FeedSettings } from "./feed-format.ts";
import { type EnvoyOptions, loopbackAddress } from "./options.ts";

export interface EnvoyPlane {
  readonly sink: MappingSink;
  readonly draining: Draining;
  /** Filters have the settings soon after; clusters must be in Envoy's files by now. */
  configure(settings: FeedSettings): Promise<void>;
  close(): Promise<void>;
}

export interface EnvoyPlaneParts extends FeedParts {
  dns(): DnsProxy;
}

/** Envoy sees a replaced file at once, and has its clusters within a fraction of this. */
const clusterPatienceMs = 150;

/** Rejects with EG46_FEED_LISTEN. */
export async function startEnvoyPlane(options: EnvoyOptions, parts: EnvoyPlaneParts): Promise<EnvoyPlane> {
  const feed = createFeed(parts);
  await feed.listen(loopbackAddress("--envoy-feed", options.feed));
  const dns = await serveDns(options, parts);
  let known = new Set<string>();
  return {
    sink: feed,
    draining: createDraining(),
    async configure(settings) {
      const added = settings.snat.filter((address) => !known.has(address));
      if (known.size > 0 && added.length > 0) await pause(clusterPatienceMs);
      known = new Set(settings.snat);
      feed.configure(settings);
    },
    async close() {
      dns.close();
      await feed.close();
    },
  };
}

/** Questions come from Envoy, on this host: whose they are its listener knows, and nft has seen to that. */
async function serveDns(options: EnvoyOptions, { dns, log }: EnvoyPlaneParts): Promise<{ close(): void }> {
  const address = loopbackAddress("--envoy-dns", options.dns);
  const proxy: DnsProxy = {
    configure: (config) => dns().configure(config),
    handle: (query, transport) => dns().handle(query, transport),
    refuse: (reason) => dns().refuse(reason),
    stats: () => dns().stats(),
    healthy: () => dns().healthy(),
    close: () => {},
  };
  const udp = createSocket(isIpv4(address.host) ? "udp4" : "udp6");
  const tcp = createServer();
  serveUdp(udp, proxy, () => true);
  serveTcp(tcp, proxy, () => true);
  try {
    await Promise.all([
      once(udp.bind(address.port, address.host), "listening"),
      once(tcp.listen(address), "listening"),
    ]);
  } catch (cause) {
    udp.close();
    tcp.close();
    const reason = (cause as Error).message;
    throw new Eg46Error("EG46_FEED_LISTEN", `cannot serve DNS for Envoy at ${options.dns}: ${reason}`, { cause });
  }
  for (const each of [udp, tcp])
    each.on("error", (error: Error) => log.error({ err: error }, "DNS listener for Envoy failed"));
  return {
    close() {
      udp.close();
      tcp.close();
    },
  };
}
