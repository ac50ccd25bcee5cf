/** Envoy's bootstrap: what stays the same for as long as it runs. */
import { parseListenAddress } from "../admin/listen-address.ts";
import type { EnvoyOptions } from "./options.ts";
import { feedCluster, filterConfiguration } from "./plugin.ts";
import { feedTlsSocket } from "./secrets.ts";

export function bootstrap(options: EnvoyOptions): object {
  const { dir, admin } = options;
  return {
    node: { id: "egress46", cluster: "egress46" },
    admin: { address: socketAddress(admin) },
    dynamic_resources: {
      lds_config: { resource_api_version: "V3", path_config_source: { path: `${dir}/listeners.yaml` } },
      cds_config: { resource_api_version: "V3", path_config_source: { path: `${dir}/clusters.yaml` } },
    },
    static_resources: {
      clusters: [
        {
          ...staticCluster(feedCluster, options.feed),
          ...(options.tls && { transport_socket: feedTlsSocket(dir) }),
        },
        staticCluster("egress46_dns", options.dns),
      ],
    },
    bootstrap_extensions: [
      {
        name: "envoy.bootstrap.wasm",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService",
          singleton: true,
          config: filterConfiguration(dir, "egress46-feed"),
        },
      },
    ],
    // Wasm's counters have no labels; these give them the gateway's own: egress46_drops_total{reason="…"}.
    stats_config: {
      stats_tags: [
        { tag_name: "virtual_server", regex: "egress46_connections_total(\\.virtual_server\\.(.+))$" },
        { tag_name: "reason", regex: "egress46_drops_total(\\.reason\\.(.+))$" },
      ],
    },
  };
}

function socketAddress(text: string): object {
  const { host, port } = parseListenAddress(text);
  return { socket_address: { address: host, port_value: port } };
}

function staticCluster(name: string, address: string): object {
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(address) } }] }],
    },
  };
}
