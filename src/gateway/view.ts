import type { EgressStatus, GatewayView, SnatAddress } from "../admin/view.ts";
import type { EgressConfig } from "../config/resolve.ts";
import type { Workers } from "../dataplane/workers.ts";
import type { AnswerCache } from "../dns/cache.ts";
import { readEngineDnsCounts, withHits } from "../dns/cache-counts.ts";
import { dig } from "../dns/dig.ts";
import type { DnsProxy } from "../dns/proxy.ts";
import type { NatBehaviour, NatProtocol } from "../engine/behaviour.ts";
import { DropReason, dropReasons, paths, VirtualServer } from "../engine/layout.gen.ts";
import { type AddressUse, addPoolUse, readPoolUse } from "../engine/pool-use.ts";
import { decodeValue } from "../mappings/codec.ts";
import type { Mappings } from "../mappings/mappings.ts";
import type { StoreReference } from "../mappings/open.ts";
import type { MappingStore } from "../mappings/store.ts";
import { createSessions } from "./sessions.ts";

export interface ViewParts {
  readonly workers: Workers;
  readonly mappings: Mappings;
  readonly store: MappingStore;
  readonly storeReference: StoreReference;
  readonly dns: DnsProxy;
  readonly answers: AnswerCache;
  health(): { ok: boolean; reasons: string[] };
  status(): EgressStatus;
  egress(): EgressConfig | undefined;
  readonly behaviour: NatBehaviour;
}

/** The admin API's view of the running gateway. */
export function createView({
  workers,
  mappings,
  store,
  storeReference,
  dns,
  answers,
  health,
  status,
  egress,
  behaviour,
}: ViewParts): GatewayView {
  const sessions = createSessions(workers.memories);
  const dnsCache = () => ({ worker: readEngineDnsCounts(workers.memories), gateway: answers.counts() });
  const dnsStats = () => {
    const { worker, gateway } = dnsCache();
    return withHits(dns.stats(), worker, gateway);
  };
  return {
    health,
    status,
    virtualServers() {
      const { connections, alive } = workers.counters();
      const server = (name: string, index: number) => ({
        name,
        totalConnections: connections[index] ?? 0,
        currentConnections: alive[index] ?? 0,
      });
      const config = egress();
      return [
        ...(config?.dualStack ? [server("egress-ipv6", VirtualServer.EGRESS_IPV6)] : []),
        server("egress-ipv4", VirtualServer.EGRESS_IPV4),
        ...(config?.dns ? [server("egress-ipv4-nat46", VirtualServer.EGRESS_IPV4_NAT46)] : []),
        ...(config?.nat64 ? [server("egress-ipv6-nat64", VirtualServer.EGRESS_IPV6_NAT64)] : []),
        ...(config?.dns
          ? [{ name: "egress-dns-ipv4", totalConnections: dnsStats().questions, currentConnections: 0 }]
          : []),
      ];
    },
    drops() {
      const { drops } = workers.counters();
      return dropReasons
        .filter(({ code }) => code !== DropReason.NONE)
        .map(({ name, code, description }) => ({ reason: name, description, count: drops[code] ?? 0 }));
    },
    packets() {
      const { packets, bytes } = workers.counters();
      return paths.map(({ name, code }) => ({
        direction: name.toLowerCase(),
        packets: packets[code] ?? 0,
        bytes: bytes[code] ?? 0,
      }));
    },
    maxSessions: () => sessions.max(),
    sessionPage: sessions.page,
    watchSessions: sessions.watch,
    snatPool: () => addPoolUse(workers.memories.map(readPoolUse)).map((each) => withCounts(each, behaviour)),
    sessions: () => workers.counters().alive.reduce((sum, count) => sum + count, 0),
    dns: dnsStats,
    dnsCache,
    dig: (question) => dig(dns, question),
    mappings: () => mappings.status(),
    store: () => storeReference,
    async *listMappings() {
      for await (const [nat4, raw] of store.list()) yield { nat4, host6: decodeValue(raw)?.host6, raw };
    },
  };
}

/** A protocol inside --eim has bindings, a port each; another one has only sessions. */
function withCounts({ tcp, udp, icmp, ...address }: AddressUse, { eim }: NatBehaviour): SnatAddress {
  const counts = (protocol: NatProtocol) => (eim.includes(protocol) ? "ports" : "sessions");
  return {
    ...address,
    tcp: { counts: counts("tcp"), ...tcp },
    udp: { counts: counts("udp"), ...udp },
    icmp: { counts: counts("icmp"), ...icmp },
  };
}
