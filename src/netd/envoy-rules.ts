import type { EnvoyOptions } from "../envoy/options.ts";
import type { Host } from "./host.ts";
import type { NetworkPlan } from "./protocol.ts";
import { byFamily, names, tableName } from "./ruleset.ts";

/** Of connections on their way to Envoy's transparent listener. */
export const tproxyMark = 5347;

/**
 * The nft table with Envoy as the data plane. Pods' TCP goes to Envoy's listener; what Envoy can't carry is refused, and
 * so is everything while there is no plan.
 */
export function envoyRuleset(host: Host, envoy: EnvoyOptions, plan: NetworkPlan): string {
  const open = plan.envoy !== undefined;
  const chains = [
    chain("guard", "filter hook forward priority filter - 10", guard(host)),
    chain("input", "filter hook input priority filter - 10", input(envoy, plan)),
    ...(open ? redirects(host, envoy, plan) : []),
  ];
  return [
    `add table inet ${tableName}`,
    `flush table inet ${tableName}`,
    // A chain keeps its hook through a flush; those that are no longer wanted must go.
    ...["divert", "transparent"].map((name) => `add chain inet ${tableName} ${name}`),
    ...["divert", "transparent"].map((name) => `delete chain inet ${tableName} ${name}`),
    `table inet ${tableName} {`,
    "  counter guard {}",
    ...chains.flat(),
    "}",
    "",
  ].join("\n");
}

/** Whether a ruleset, as nft lists it, is one of these with a plan. */
export function divertsToEnvoy(nft: string): boolean {
  return nft.includes("chain divert {");
}

/** Fail closed: what a Pod sends leaves through Envoy or not at all. Outlives the gateway. */
function guard(host: Host): string[] {
  const drop = "counter name guard drop";
  const external = names(host.external);
  const onlyInternal = host.internal.filter((name) => !host.external.includes(name));
  const shared = host.internal.filter((name) => host.external.includes(name));
  return [
    ...(onlyInternal.length > 0 ? [`iifname ${names(onlyInternal)} oifname ${external} ${drop}`] : []),
    ...(shared.length > 0
      ? byFamily(
          host.internalNets,
          (ip, set) => `oifname ${names(shared)} ${ip} saddr ${set} ${ip} daddr ${set} accept`,
        )
      : []),
    ...byFamily(host.internalNets, (ip, set) => `oifname ${external} ${ip} saddr ${set} ${drop}`),
  ];
}

/** Envoy's ports serve only what was redirected to them, and SNAT addresses are no way to the host's own services. */
function input({ redirect, proxyPort, dnsPort }: EnvoyOptions, plan: NetworkPlan): string[] {
  const redirected = "ct status & dnat == 0";
  return [
    redirect === "tproxy"
      ? `tcp dport ${proxyPort} meta mark != ${tproxyMark} drop`
      : `tcp dport ${proxyPort} ${redirected} drop`,
    `meta l4proto { tcp, udp } th dport ${dnsPort} ${redirected} drop`,
    ...byFamily(
      plan.snatPool.map(({ address }) => address),
      (ip, set) => `${ip} daddr ${set} tcp flags & (fin | syn | rst | ack) == syn drop`,
    ),
    ...byFamily(
      plan.snatPool.map(({ address }) => address),
      (ip, set) => `${ip} daddr ${set} meta l4proto udp drop`,
    ),
  ];
}

function redirects(host: Host, envoy: EnvoyOptions, plan: NetworkPlan): string[][] {
  const { redirect, proxyPort, dnsPort } = envoy;
  const dns = plan.envoy?.dns
    ? pods(host, (match) => `${match} meta l4proto { tcp, udp } th dport 53 redirect to :${dnsPort}`)
    : [];
  const nat = (to: string) => [
    ...byFamilyOfPods(host, plan.natSubnets, (match, destination) => `${match} ${destination} ${to}`),
    // Among Pods, and to the gateway itself.
    ...byFamilyOfPods(host, host.internalNets, (match, destination) => `${match} ${destination} accept`),
    ...pods(host, (match) => `${match} fib daddr type local accept`),
    ...pods(host, (match) => `${match} ${to}`),
  ];
  if (redirect === "redirect")
    return [
      chain("divert", "nat hook prerouting priority dstnat", [
        ...dns,
        ...nat(`meta l4proto tcp redirect to :${proxyPort}`),
      ]),
    ];
  return [
    chain("divert", "nat hook prerouting priority dstnat", dns),
    chain("transparent", "filter hook prerouting priority mangle", [
      ...(plan.envoy?.dns ? pods(host, (match) => `${match} th dport 53 accept`) : []),
      ...nat("TPROXY").flatMap((rule) =>
        rule.endsWith(" TPROXY")
          ? (["ip", "ip6"] as const).map((ip) =>
              rule.replace(
                / TPROXY$/,
                ` meta nfproto ${ip === "ip" ? "ipv4" : "ipv6"} meta l4proto tcp tproxy ${ip} to :${proxyPort} meta mark set ${tproxyMark} accept`,
              ),
            )
          : [rule],
      ),
    ]),
  ];
}

function chain(name: string, type: string, rules: readonly string[]): string[] {
  return [
    `  chain ${name} {`,
    `    type ${type}; policy accept;`,
    ...rules.map((rule) => `    ${rule}`),
    "  }",
  ];
}

/** A line for what comes from Pods: by interface, and where an interface is external too by source as well. */
function pods(host: Host, line: (match: string) => string): string[] {
  const only = host.internal.filter((name) => !host.external.includes(name));
  const shared = host.internal.filter((name) => host.external.includes(name));
  return [
    ...(only.length > 0 ? [line(`iifname ${names(only)}`)] : []),
    ...(shared.length > 0
      ? byFamily(host.internalNets, (ip, set) => line(`iifname ${names(shared)} ${ip} saddr ${set}`))
      : []),
  ];
}

function byFamilyOfPods(
  host: Host,
  destinations: readonly string[],
  line: (match: string, destination: string) => string,
): string[] {
  return byFamily(destinations, (ip, set) => `${ip} daddr ${set}`).flatMap((destination) =>
    pods(host, (match) => line(match, destination)),
  );
}
