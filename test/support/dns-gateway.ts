/** A DNS proxy in front of real lab DNS servers on loopback, with mappings kept in a table. */
import { type Logger, pino } from "pino";
import type { AnswerCache } from "../../src/dns/cache.ts";
import type { KnownNames } from "../../src/dns/known-names.ts";
import type { DnsPolicy } from "../../src/dns/policy.ts";
import {
  createDnsProxy,
  type DnsConfig,
  type DnsProxy,
  type HostMapping,
  type MappingUse,
} from "../../src/dns/proxy.ts";
import { type LabDnsServer, startDnsServer, type Zone } from "../../src/lab/dns-server.ts";
import { testZone } from "./dns-names.ts";

export interface TestGateway {
  readonly proxy: DnsProxy;
  /** The first upstream. */
  readonly upstream: LabDnsServer;
  /** IPv6 text → IPv4; 10.46.0.1 and up in the order of need. */
  readonly mappings: Map<string, string>;
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  readonly zone?: Zone;
  readonly config?: Partial<DnsConfig>;
  /** Instead of the table. */
  readonly mapHost?: (host6: string, use: MappingUse) => Promise<HostMapping>;
  readonly hostOf?: (nat4: string) => Promise<string | undefined>;
  readonly names?: KnownNames;
  readonly policy?: DnsPolicy;
  readonly log?: Logger;
  /** Default: none. */
  readonly cache?: AnswerCache;
}

export async function startTestGateway({
  zone = testZone,
  config,
  mapHost,
  hostOf,
  names,
  policy,
  log = pino({ level: "silent" }),
  cache,
}: TestGatewayOptions = {}): Promise<TestGateway> {
  const upstream = await startDnsServer({ address: "127.0.0.1", zone });
  const mappings = new Map<string, string>();
  const claim = async (host6: string): Promise<HostMapping> => {
    const nat4 = mappings.get(host6) ?? `10.46.0.${mappings.size + 1}`;
    mappings.set(host6, nat4);
    return { kind: "mapped", nat4 };
  };
  const proxy = createDnsProxy({
    mapHost: mapHost ?? claim,
    ...(hostOf && { hostOf }),
    ...(names && { names }),
    ...(policy && { policy }),
    log,
    upstreamPort: upstream.port,
    ...(cache && { cache }),
  });
  proxy.configure({ upstreams: [upstream.address], maxTtl: 3600, ...config });
  return {
    proxy,
    upstream,
    mappings,
    async close() {
      proxy.close();
      await upstream.close();
    },
  };
}
