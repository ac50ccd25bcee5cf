/**
 * `node --expose-gc dns-proxy-main.js UPSTREAM_PORT`: a DNS proxy on a loopback port of its own, UDP and TCP. Prints the
 * port; for each line of its standard input its memory and counters, after a collection of garbage.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { pino } from "pino";
import { createDnsProxy, type DnsStats } from "../../src/dns/proxy.ts";
import { serveTcp, serveUdp } from "../../src/dns/server.ts";

export interface ProxyReport {
  /** Bytes. */
  readonly rss: number;
  readonly heapUsed: number;
  readonly stats: DnsStats;
}

const mappings = new Map<string, string>();
const proxy = createDnsProxy({
  mapHost: async (host6) => {
    const nat4 = mappings.get(host6) ?? `10.46.${mappings.size >> 8}.${mappings.size & 255}`;
    mappings.set(host6, nat4);
    return { kind: "mapped", nat4 };
  },
  hostOf: async (nat4) => [...mappings].find(([, other]) => other === nat4)?.[0],
  log: pino({ level: "silent" }),
  upstreamPort: Number(process.argv[2]),
});
proxy.configure({ upstreams: ["127.0.0.1"], maxTtl: 3600, subnet: "10.46.0.0/16" });
const udp = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
const tcp = createServer();
serveUdp(udp, proxy, () => true);
serveTcp(tcp, proxy, () => true);
await once(udp.bind(0, "127.0.0.1"), "listening");
await once(tcp.listen(udp.address().port, "127.0.0.1"), "listening");
console.log(udp.address().port);
for await (const _ of createInterface({ input: process.stdin })) {
  (globalThis as { gc?: () => void }).gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  console.log(JSON.stringify({ rss, heapUsed, stats: proxy.stats() } satisfies ProxyReport));
}
process.exit(0);
