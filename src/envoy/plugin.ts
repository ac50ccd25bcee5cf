/** The Wasm plugin as Envoy's configuration names it; filter and singleton must share the VM's id to share data. */

export const feedCluster = "egress46_feed";

/** `rootId`: `egress46`, the network filter, or `egress46-feed`, the singleton that follows the gateway. */
export function filterConfiguration(dir: string, rootId: "egress46" | "egress46-feed"): object {
  return {
    name: rootId,
    root_id: rootId,
    failure_policy: "FAIL_RELOAD",
    vm_config: {
      vm_id: "egress46",
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: `${dir}/filter.wasm` } },
    },
    configuration: {
      "@type": "type.googleapis.com/google.protobuf.StringValue",
      value: JSON.stringify({ feedCluster }),
    },
  };
}
