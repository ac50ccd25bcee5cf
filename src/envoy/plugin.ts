/** The Wasm plugin as Envoy's configuration names it; filter and singleton must share the VM's id to share data. */

export const feedCluster = "egress46_feed";

/** The file of each, which is also its VM's id. */
const modules = { egress46: "filter", "egress46-feed": "filter", "egress46-failure": "failure" } as const;

/** `rootId`: the network filter, the singleton that follows the gateway, or what hears of failed connections. */
export function pluginConfiguration(dir: string, rootId: keyof typeof modules): object {
  const module = modules[rootId];
  return {
    name: rootId,
    root_id: rootId,
    failure_policy: "FAIL_RELOAD",
    vm_config: {
      vm_id: `egress46-${module}`,
      runtime: "envoy.wasm.runtime.v8",
      code: { local: { filename: `${dir}/${module}.wasm` } },
    },
    configuration: {
      "@type": "type.googleapis.com/google.protobuf.StringValue",
      value: JSON.stringify({ feedCluster }),
    },
  };
}
