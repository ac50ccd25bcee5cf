/** Envoy's clusters: one a SNAT address, which connects to the original destination from that address. */
import { ipv6ToBytes, isIpv4 } from "../addresses.ts";

/** Named after the address, so that the filter needs no table of names; the twin of putAddress (assembly/filter/text.ts). */
export function clusterName(address: string): string {
  return `snat_${isIpv4(address) ? address : groups(address)}`;
}

/** Eight groups without `::` (RFC 4291 §2.2, form 1). */
function groups(address: string): string {
  const bytes = ipv6ToBytes(address);
  return Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16)).join(
    ":",
  );
}

/** Ports of outgoing connections; the listeners' own lie below. Holds where net.ipv4.ip_local_port_range covers it. */
export const portRange = [16384, 65535] as const;

/** Linux: SOL_IP options that the kernel takes on sockets of both families. */
const solIp = 0;
const ipBindAddressNoPort = 24;
const ipLocalPortRange = 51;

const connections = 1_000_000;

export function snatCluster(address: string): object {
  const [low, high] = portRange;
  return {
    "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    name: clusterName(address),
    type: "ORIGINAL_DST",
    lb_policy: "CLUSTER_PROVIDED",
    // One set of counters for all of them: hundreds would fill /stats.
    alt_stat_name: "snat",
    connect_timeout: "5s",
    circuit_breakers: {
      thresholds: [{ max_connections: connections, max_pending_requests: connections }],
    },
    upstream_bind_config: {
      source_address: { address, port_value: 0 },
      freebind: true,
      socket_options: [
        // A port serves as many destinations as there are.
        { description: "IP_BIND_ADDRESS_NO_PORT", level: solIp, name: ipBindAddressNoPort, int_value: 1 },
        {
          description: "IP_LOCAL_PORT_RANGE",
          level: solIp,
          name: ipLocalPortRange,
          int_value: high * 65536 + low,
        },
      ],
    },
  };
}

/** What Envoy reads for CDS. */
export function clusterResources(addresses: readonly string[]): object {
  return { resources: [...new Set(addresses)].map(snatCluster) };
}
