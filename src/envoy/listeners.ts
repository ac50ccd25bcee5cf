/** Envoy's listeners. They don't depend on the CRs: a listener that changes drains its connections. */
import type { EnvoyOptions } from "./options.ts";
import { filterConfiguration } from "./plugin.ts";

/** RFC 5382 REQ-5: as long as the gateway's own data plane keeps an idle connection. */
const idleTimeout = "7440s";
/** No cluster: a connection that the filter didn't decide about goes nowhere. */
const nowhere = "egress46_undecided";

const filter = (name: string, type: string, fields: object = {}) => ({
  name,
  typed_config: { "@type": `type.googleapis.com/${type}`, ...fields },
});

const tcpProxyType = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

export function egressListener(family: 4 | 6, options: EnvoyOptions): object {
  const { dir, proxyPort, redirect, accessLog } = options;
  return {
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    name: `egress46_ipv${family}`,
    address: { socket_address: { address: family === 4 ? "0.0.0.0" : "::", port_value: proxyPort } },
    tcp_backlog_size: 4096,
    ...(redirect === "tproxy" && { transparent: true }),
    listener_filters: [
      filter(
        "envoy.filters.listener.original_dst",
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
      ),
    ],
    filter_chains: [
      {
        filters: [
          filter("envoy.filters.network.wasm", "envoy.extensions.filters.network.wasm.v3.Wasm", {
            config: filterConfiguration(dir, "egress46"),
          }),
          filter("envoy.filters.network.tcp_proxy", tcpProxyType, {
            stat_prefix: "egress46",
            cluster: nowhere,
            idle_timeout: idleTimeout,
            access_log: [failureLog(dir), ...(accessLog === undefined ? [] : [accessLogOf(accessLog)])],
          }),
        ],
      },
    ],
  };
}

/** The filter hears of connections that found no way out, and of no others: it counts what it is to blame for. */
function failureLog(dir: string): object {
  return {
    ...filter("envoy.access_loggers.wasm", "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog", {
      config: filterConfiguration(dir, "egress46"),
    }),
    filter: { response_flag_filter: { flags: ["UF"] } },
  };
}

/** Pod, what it dialled, the host and the source that were made of it, bytes, and how it ended. */
function accessLogOf(path: string): object {
  const fields = [
    "%START_TIME%",
    "pod=%DOWNSTREAM_REMOTE_ADDRESS%",
    "dialled=%DOWNSTREAM_LOCAL_ADDRESS%",
    "host=%UPSTREAM_REMOTE_ADDRESS%",
    "snat=%UPSTREAM_LOCAL_ADDRESS%",
    "received=%BYTES_RECEIVED%",
    "sent=%BYTES_SENT%",
    "flags=%RESPONSE_FLAGS%",
  ];
  return filter("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", {
    path,
    log_format: { text_format_source: { inline_string: `${fields.join(" ")}\n` } },
  });
}

export function dnsListeners(family: 4 | 6, { dnsPort }: EnvoyOptions): object[] {
  const address = family === 4 ? "0.0.0.0" : "::";
  return [
    {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
      name: `egress46_dns_udp_ipv${family}`,
      address: { socket_address: { protocol: "UDP", address, port_value: dnsPort } },
      listener_filters: [
        filter(
          "envoy.filters.udp_listener.udp_proxy",
          "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
          {
            stat_prefix: "egress46_dns",
            idle_timeout: "10s",
            matcher: {
              on_no_match: {
                action: filter("route", "envoy.extensions.filters.udp.udp_proxy.v3.Route", {
                  cluster: "egress46_dns",
                }),
              },
            },
          },
        ),
      ],
    },
    {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
      name: `egress46_dns_tcp_ipv${family}`,
      address: { socket_address: { address, port_value: dnsPort } },
      filter_chains: [
        {
          filters: [
            filter("envoy.filters.network.tcp_proxy", tcpProxyType, {
              stat_prefix: "egress46_dns",
              cluster: "egress46_dns",
            }),
          ],
        },
      ],
    },
  ];
}

/** What Envoy reads for LDS. `ipv6`: Pods have it. */
export function listenerResources(ipv6: boolean, options: EnvoyOptions): object {
  const families = ipv6 ? ([4, 6] as const) : ([4] as const);
  return {
    resources: families.flatMap((family) => [
      egressListener(family, options),
      ...dnsListeners(family, options),
    ]),
  };
}
