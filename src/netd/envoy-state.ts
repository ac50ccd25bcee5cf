/** The host's network with Envoy as the data plane: connections of Pods reach its listeners, and nothing else leaves. */
import { parseCidr } from "../addresses.ts";
import type { EnvoyOptions } from "../envoy/options.ts";
import { envoyRuleset, tproxyMark } from "./envoy-rules.ts";
import type { Host } from "./host.ts";
import { type Item, localTable, neighItem, routeItem, ruleItem } from "./items.ts";
import type { NetworkPlan } from "./protocol.ts";
import type { NetState } from "./state.ts";
import { desiredSysctls, type Sysctl } from "./sysctl.ts";

const metric = 46;
/** Where what is marked for TPROXY is the host's own, whatever its destination. */
const tproxyTable = 5347;

export function envoyState(host: Host, envoy: EnvoyOptions, plan: NetworkPlan): NetState {
  const families = host.ipv6 ? ([4, 6] as const) : ([4] as const);
  return {
    nft: envoyRuleset(host, envoy, plan),
    sysctls: envoySysctls(host, plan),
    items: families.flatMap((family) => [
      ...localAddresses(host, plan, family),
      ...(envoy.redirect === "tproxy" ? tproxyWay(family) : []),
    ]),
  };
}

/** Replies come to sockets of Envoy; on a shared link neighbours must be answered for the address. */
function localAddresses(host: Host, plan: NetworkPlan, family: 4 | 6): Item[] {
  return plan.snatPool
    .filter(({ address }) => parseCidr(address).family === family)
    .flatMap(({ address }) => [
      routeItem(family, { type: "local", to: address, device: "lo", table: localTable, metric }),
      ...host.external.map((device) => neighItem(family, { address, device })),
    ]);
}

function tproxyWay(family: 4 | 6): Item[] {
  return [
    routeItem(family, { type: "local", to: "default", device: "lo", table: tproxyTable, metric }),
    ruleItem(family, { priority: 4600, mark: tproxyMark, table: tproxyTable }),
  ];
}

export function envoySysctls(host: Host, plan: NetworkPlan): Sysctl[] {
  return [
    ...desiredSysctls(host, plan),
    // Thousands of short connections to one host from one address: each port rests for a second, not for a minute.
    { key: "net/ipv4/tcp_tw_reuse", value: 1 },
  ];
}
