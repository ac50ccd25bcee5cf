/** The gateway's side of Envoy as the data plane: the feed, DNS for its listener, and addresses that still drain. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { isIpv4 } from "../addresses.ts";
import type { DnsProxy } from "../dns/proxy.ts";
import { serveTcp, serveUdp } from "../dns/server.ts";
import type { EngineCounters } from "../engine/counters.ts";
import type { MappingSink } from "../engine/mapping-sink.ts";
import { Eg46Error } from "../errors.ts";
import { clustersThere } from "./clusters-there.ts";
import { followCounters } from "./counters.ts";
import { createDraining, type Draining } from "./draining.ts";
import { createFeed, type FeedParts } from "./feed.ts";
import type { FeedSettings } from "./feed-format.ts";
import type { FeedTls } from "./feed-tls.ts";
import { type EnvoyOptions, feedAddress, loopbackAddress } from "./options.ts";

export interface EnvoyPlane {
  readonly sink: MappingSink;
  readonly draining: Draining;
  counters(): EngineCounters;
  /** Filters have the settings soon after; clusters must be in Envoy's files by now. */
  configure(settings: FeedSettings): Promise<void>;
  /** New certificates of the feed. */
  secure(tls: FeedTls): void;
  /** Questions come from Envoy, on this host: nft has seen to whose they are. Rejects with EG46_FEED_LISTEN. */
  serveDns(proxy: DnsProxy): Promise<void>;
  close(): Promise<void>;
}

/** Envoy sees a replaced file at once; hundreds of clusters take it some 400 ms. */
const clusterPatienceMs = 2000;

/** `drained`: the configuration is to be applied anew, without an address that has left. Rejects with EG46_FEED_LISTEN. */
export async function startEnvoyPlane(
  options: EnvoyOptions,
  tls: FeedTls | undefined,
  parts: FeedParts & { readonly drained: () => void },
): Promise<EnvoyPlane> {
  const feed = createFeed(parts, tls);
  await feed.listen(feedAddress(options));
  const counters = followCounters(options.admin);
  let dns: { close(): void } | undefined;
  let known = new Set<string>();
  return {
    sink: feed,
    draining: createDraining(parts.drained),
    counters: counters.read,
    async configure(settings) {
      const added = settings.snat.filter((address) => !known.has(address));
      if (added.length > 0) await clustersThere(options.admin, added, clusterPatienceMs);
      known = new Set(settings.snat);
      feed.configure(settings);
    },
    secure: feed.secure,
    async serveDns(proxy) {
      dns = await serveDns(options, proxy);
    },
    async close() {
      dns?.close();
      counters.close();
      await feed.close();
    },
  };
}

async function serveDns(options: EnvoyOptions, proxy: DnsProxy): Promise<{ close(): void }> {
  const address = loopbackAddress("--envoy-dns", options.dns);
  const udp = createSocket(isIpv4(address.host) ? "udp4" : "udp6");
  const tcp = createServer();
  serveUdp(udp, proxy, () => true);
  serveTcp(tcp, proxy, () => true);
  const close = () => {
    udp.close();
    tcp.close();
  };
  try {
    await Promise.all([
      once(udp.bind(address.port, address.host), "listening"),
      once(tcp.listen(address), "listening"),
    ]);
  } catch (cause) {
    close();
    throw new Eg46Error(
      "EG46_FEED_LISTEN",
      `cannot serve DNS for Envoy at ${options.dns}: ${(cause as Error).message}`,
      { cause },
    );
  }
  return { close };
}
