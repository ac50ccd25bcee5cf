import { parseCidr } from "../addresses.ts";
import { envoyState } from "./envoy-state.ts";
import { type Host, workerTable } from "./host.ts";
import { type Item, neighItem, routeItem, ruleItem } from "./items.ts";
import type { NetworkPlan } from "./protocol.ts";
import { ruleset } from "./ruleset.ts";
import { returnMark } from "./shared-rules.ts";
import { desiredSysctls, type Sysctl } from "./sysctl.ts";

const dnsTable = 5346;
/** Our routes give way to the host's own connected IPv4 prefixes, and come before IPv6 ones (metric 256). */
const metric = 46;
const blackholeMetric = 4646;
const families = [4, 6] as const;

export interface NetState {
  /** Input of `nft -f -` that replaces our table as a whole. */
  readonly nft: string;
  readonly sysctls: readonly Sysctl[];
  /** Routes before rules: nothing is ever sent to an empty table. */
  readonly items: readonly Item[];
}

/** The whole network state for a plan; a pure function, the one place that knows the routing design. */
export function desiredState(host: Host, plan: NetworkPlan): NetState {
  if (host.envoy !== undefined) return envoyState(host, host.envoy, plan);
  const active = families.filter((family) => family === 4 || host.ipv6);
  // By family first, so that few `ip -batch` processes carry them out.
  const items = active.flatMap((family) => [
    ...tableRoutes(host, plan, family),
    ...[...returnRoutes(host, plan), ...neighbourProxies(host, plan)].filter(
      (item) => item.family === family,
    ),
    ...sharedReturns(plan, family),
    ...host.internal.flatMap((device) => rules(host, plan, family, device)),
  ]);
  return { nft: ruleset(host, plan), sysctls: desiredSysctls(host, plan), items };
}

function tableRoutes(host: Host, plan: NetworkPlan, family: 4 | 6): Item[] {
  const workers = host.tuns.flatMap((tun, worker) => [
    routeItem(family, { to: "default", device: tun, table: workerTable + worker, metric }),
    routeItem(family, {
      type: "blackhole",
      to: "default",
      table: workerTable + worker,
      metric: blackholeMetric,
    }),
  ]);
  const dns = routeItem(family, { type: "local", to: "default", device: "lo", table: dnsTable, metric });
  return plan.dnsIntercept ? [...workers, dns] : workers;
}

function returnRoutes(host: Host, plan: NetworkPlan): Item[] {
  const single = [
    ...plan.snatPool.map(({ address, worker }) => ({ to: address, worker })),
    ...plan.automap.map(({ alias, worker }) => ({ to: alias, worker })),
    // Without it the reverse path filter, which IPv4 alone has, may find no route at all to what comes out of the TUN.
    ...plan.natSubnets.filter((to) => parseCidr(to).family === 4).map((to) => ({ to, worker: 0 })),
  ];
  return single.map(({ to, worker }) =>
    routeItem(parseCidr(to).family, { to, device: host.tuns[worker] ?? "", metric }),
  );
}

/**
 * To an address that workers share: by the mark that its port got (shared-rules.ts, which knows by what interface it
 * came), else by the address's own route.
 */
function sharedReturns(plan: NetworkPlan, family: 4 | 6): Item[] {
  const marked = plan.shared?.slices.filter(({ worker }) => worker > 0) ?? [];
  return marked.map(({ worker }) =>
    ruleItem(family, { priority: 4599, mark: returnMark + worker, table: workerTable + worker }),
  );
}

function neighbourProxies(host: Host, plan: NetworkPlan): Item[] {
  return plan.snatPool.flatMap(({ address }) => {
    const { family } = parseCidr(address);
    return host.external.map((device) => neighItem(family, { address, device }));
  });
}

/**
 * Traffic that enters by an internal interface, in order of priority. The kernel's local table stays before all of it.
 * A NAT subnet comes before the internal networks, which it may lie in; DNS goes the way of the packet around it.
 */
function rules(host: Host, plan: NetworkPlan, family: 4 | 6, device: string): Item[] {
  const ofFamily = (nets: readonly string[]) => nets.filter((net) => parseCidr(net).family === family);
  const inner = ofFamily(host.internalNets);
  // On an interface that is external too, only the source prefix tells a Pod.
  const sources = host.external.includes(device) ? inner : [undefined];
  return sources.flatMap((from) => {
    const base = { device, ...(from === undefined ? {} : { from }) };
    const toWorkers = (priority: number, to?: string): Item[] => {
      const target = to === undefined ? base : { ...base, to };
      const marked = host.tuns
        .slice(0, plan.workers)
        .map((_, worker) =>
          ruleItem(family, { ...target, priority, mark: workerTable + worker, table: workerTable + worker }),
        );
      const rest = ruleItem(family, { ...target, priority: priority + 1, table: workerTable });
      return plan.workers > 1 ? [...marked, rest] : [rest];
    };
    const dns = (priority: number, to?: string): Item[] =>
      plan.dnsIntercept
        ? [
            ruleItem(family, {
              ...base,
              ...(to === undefined ? {} : { to }),
              priority,
              dns: true,
              table: dnsTable,
            }),
          ]
        : [];
    return [
      ...ofFamily(plan.natSubnets).flatMap((net) => [...dns(4600, net), ...toWorkers(4601, net)]),
      ...inner.map((to) => ruleItem(family, { ...base, to, priority: 4603, table: "main", noDefault: true })),
      ...dns(4604),
      ...toWorkers(4605),
    ];
  });
}
