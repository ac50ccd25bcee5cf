import type { GatewayView, ListedSession } from "../../../src/admin/view.ts";
import type { DnsCacheCounts } from "../../../src/dns/cache-counts.ts";

export const sampleSession: ListedSession = {
  id: "0-4-3",
  worker: 0,
  protocol: "tcp",
  kind: "EGRESS_IPV4_NAT46",
  pod: "10.1.2.3",
  podPort: 4000,
  destination: "10.244.50.7",
  snat: "2001:db8:5::9",
  snatPort: 23456,
  remote: "2001:db8:46::80",
  remotePort: 80,
  state: "ESTABLISHED",
  ageMs: 65_000,
  idleMs: 1_500,
};

const sampleDnsCache: DnsCacheCounts = {
  ...{ hits: 7, misses: 2, entries: 2, evictions: 1, refreshes: 1, stale: 0, synthesized: 4 },
  types: { A: 5, AAAA: 2, PTR: 0, SRV: 0, TXT: 0, MX: 0, HTTPS: 0, other: 0 },
  responses: { NOERROR: 7 },
};

/** A view with a value of every kind; each test replaces what it is about. */
export function sampleView(replaced: Partial<GatewayView> = {}): GatewayView {
  return {
    health: () => ({ ok: true, reasons: [] }),
    virtualServers: () => [
      { name: "egress-ipv4-nat46", totalConnections: 19, currentConnections: 4 },
      { name: "egress-dns-ipv4", totalConnections: 12, currentConnections: 0 },
    ],
    drops: () => [
      { reason: "ttl-expired", description: "The packet's hop limit ran out here", count: 2 },
      { reason: "no-snat", description: "No SNAT address and port was free", count: 0 },
      { reason: "bad-checksum", description: "The IPv4 header checksum is wrong", count: 7 },
    ],
    packets: () => [
      { direction: "out", packets: 5, bytes: 700 },
      { direction: "in", packets: 3, bytes: 300 },
    ],
    sessions: () => 4,
    maxSessions: () => 1000,
    sessionPage: async () => ({ sessions: [sampleSession] }),
    async *watchSessions() {
      yield [{ change: "present", session: sampleSession }];
      yield [
        { change: "created", session: { ...sampleSession, id: "0-5-1", state: "INIT" } },
        { change: "changed", session: { ...sampleSession, id: "0-5-1" } },
        { change: "gap", worker: 0 },
        { change: "ended", id: sampleSession.id },
      ];
    },
    snatPool: () => [
      {
        address: "2001:db8:5::9",
        ports: 64_512,
        tcp: { counts: "sessions", inUse: 3, allocated: 30, exhausted: 0 },
        udp: { counts: "ports", inUse: 32_256, allocated: 40_000, exhausted: 2 },
        icmp: { counts: "ports", inUse: 0, allocated: 7, exhausted: 1 },
      },
    ],
    dnsCache: () => ({ worker: sampleDnsCache, gateway: { ...sampleDnsCache, stale: 3 } }),
    dns: () => ({
      questions: 12,
      requests: [
        { type: "A", proto: "udp", count: 11 },
        { type: "other", proto: "tcp", count: 1 },
      ],
      responses: { NOERROR: 10, NXDOMAIN: 2 },
      responsesBySource: [
        { rcode: "NOERROR", source: "synthesized", count: 6 },
        { rcode: "NOERROR", source: "upstream", count: 4 },
        { rcode: "NXDOMAIN", source: "upstream", count: 2 },
      ],
      duration: { bounds: [0.001, 0.5], counts: [7, 11], sum: 1.5, count: 12 },
      synthesized: 6,
      failures: { timeout: 1 },
      upstreams: [
        {
          ...{ address: "192.0.2.53", transport: "udp, 0x20", healthy: true },
          ...{ questions: 20, answered: 17, refused: 1, silent: 2, latencyMs: { p50: 2.5, p99: 40 } },
        },
        {
          ...{ address: "2001:db8::53", transport: "udp", healthy: false, problem: "connect ECONNREFUSED" },
          ...{ questions: 3, answered: 0, refused: 0, silent: 3 },
        },
      ],
    }),
    dig: async ({ type }) => ({
      name: "v6only.example.",
      type: type === 1 ? "A" : "AAAA",
      ms: 3.25,
      steps: [
        {
          ms: 1.2,
          step: "upstream",
          found: { address: "10.1.1.53", type: "A", rcode: "NOERROR", answers: 0, ms: 1 },
        },
        { ms: 3.1, step: "engine", found: { nat4: "10.244.50.7", host6: "2001:db8:46::80" } },
      ],
      answer: {
        rcode: "NOERROR",
        flags: "qr rd ra",
        bytes: 120,
        records: [
          { section: "answer", name: "v6only.example.", ttl: 60, type: "A", data: "10.244.50.7" },
          { section: "answer", name: "v6only.example.", ttl: 60, type: "AAAA", data: "2001:db8:46::80" },
        ],
        explanations: ["29 DNS46 10.244.50.7 <- 2001:db8:46::80"],
      },
    }),
    mappings: () => ({
      known: 6,
      malformed: 1,
      conflicts: 2,
      poolSize: 254,
      poolUsed: 5,
      storeConnected: true,
      store: "lmdb:/var/lib/egress46",
    }),
    store: () => ({ spec: "lmdb:/var/lib/egress46", credentials: false }),
    async *listMappings() {
      yield {
        nat4: "10.244.50.1",
        host6: "2001:db8::1",
        raw: "0001000000000000000000000002" + "2001:db8::1",
      };
      yield { nat4: "10.244.50.2", host6: undefined, raw: "junk" };
    },
    status: () => ({
      state: "active",
      notes: ["F5SPKEgress b/other is ignored: a/egress is older"],
      problems: [],
      egress: "a/egress",
      workers: 2,
      startedAt: "2026-01-02T03:04:05.000Z",
    }),
    ...replaced,
  };
}
