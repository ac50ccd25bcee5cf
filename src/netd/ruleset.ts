import { cidrContains, parseCidr } from "../addresses.ts";
import { type Host, workerTable } from "./host.ts";
import type { AutomapRoute, NetworkPlan } from "./protocol.ts";
import { laterFragment, type PortMatch, sharedRules } from "./shared-rules.ts";
import { spreadSeed } from "./spread.ts";

export const tableName = "egress46";
/** Makes our table go away whether or not it is there. */
export const removeRuleset = `add table inet ${tableName}\ndelete table inet ${tableName}\n`;

/**
 * The nft table of a plan, applied in one transaction: the guard never has a gap, its counter survives.
 * No rule here uses connection tracking: that would track, and defragment, everything before the engine sees it.
 */
export function ruleset(host: Host, plan: NetworkPlan): string {
  const chains = [
    chain("guard", "forward priority filter - 10", guard(host, plan)),
    chain("dns", "input priority filter - 10", plan.dnsIntercept ? dnsAccess(host) : []),
    chain("automap", "prerouting priority raw", [
      ...(plan.workers > 1 && plan.automap.length > 0
        ? Object.values(laterFragment).map((match) => `${match} accept`)
        : []),
      ...plan.automap.flatMap((route) => [
        ...(plan.workers === 1 ? [fragments(host, route)] : []),
        ...automap(host, route),
      ]),
    ]),
    chain("workers", "prerouting priority mangle", plan.workers > 1 ? spread(host, plan) : []),
    plan.shared === undefined ? [] : sharedRules(host, plan.shared, portMatches),
  ];
  return [
    `add table inet ${tableName}`,
    `flush table inet ${tableName}`,
    `table inet ${tableName} {`,
    "  counter guard {}",
    ...chains.flat(),
    "}",
    "",
  ].join("\n");
}

/** Fail closed: outlives the gateway, and catches what a bug of the engine would let by. */
function guard(host: Host, plan: NetworkPlan): string[] {
  const drop = "counter name guard drop";
  const external = names(host.external);
  const tuns = names(host.tuns);
  const onlyInternal = host.internal.filter((name) => !host.external.includes(name));
  const shared = host.internal.filter((name) => host.external.includes(name));
  return [
    // Egress addresses may lie inside an internal network (a host with one interface); they are ours only out of a TUN.
    ...byFamily(
      [...plan.snatPool, ...plan.automap].map(({ address }) => address),
      (ip, set) => `iifname ${tuns} ${ip} saddr ${set} accept`,
    ),
    ...(onlyInternal.length > 0 ? [`iifname ${names(onlyInternal)} oifname ${external} ${drop}`] : []),
    ...(shared.length > 0
      ? byFamily(
          host.internalNets,
          (ip, set) => `oifname ${names(shared)} ${ip} saddr ${set} ${ip} daddr ${set} accept`,
        )
      : // Nobody outside can pose as a Pod.
        byFamily(
          host.internalNets,
          (ip, set) => `iifname ${external} oifname ${tuns} ${ip} saddr ${set} ${drop}`,
        )),
    ...byFamily(host.internalNets, (ip, set) => `oifname ${external} ${ip} saddr ${set} ${drop}`),
  ];
}

/** On an interface that is external too, only Pods get at our DNS sockets. */
function dnsAccess(host: Host): string[] {
  const shared = host.internal.filter((name) => host.external.includes(name));
  if (shared.length === 0) return [];
  return byFamily(
    host.internalNets,
    (ip, set) => `iifname ${names(shared)} meta l4proto { tcp, udp } th dport 53 ${ip} saddr ${set} accept`,
  ).concat(`iifname ${names(shared)} meta l4proto { tcp, udp } th dport 53 drop`);
}

/** Return traffic to the host's own address, told by port, is readdressed to the alias, which is routed to the TUN. */
function automap(host: Host, route: AutomapRoute): string[] {
  const { family } = parseCidr(route.address);
  const ip = family === 4 ? "ip" : "ip6";
  const match = `iifname ${names(host.external)} ${ip} daddr ${route.address}`;
  // The host itself answers echo requests to its address.
  return portMatches(family, "echo-reply").map(
    ({ match: of, port }) =>
      `${match} ${of} ${port} ${route.ports[0]}-${route.ports[1]} ${ip} daddr set ${route.alias} accept`,
  );
}

/**
 * What has a port of ours; `echo`: types of ICMP queries. ICMP errors are told by the source port (echo: identifier) of
 * the packet that they quote, which is ours; offsets are bits from the ICMP header (RFC 792, RFC 4443 §3) over an inner
 * IPv4 header without options or an IPv6 header.
 */
function portMatches(family: 4 | 6, echo: string): PortMatch[] {
  const icmp = family === 4 ? "icmp" : "icmpv6";
  const errors =
    family === 4
      ? "icmp type { destination-unreachable, time-exceeded, parameter-problem } @th,64,8 0x45"
      : "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }";
  const [protocolAt, portAt, echoProtocol] = family === 4 ? [136, 224, 1] : [112, 384, 58];
  return [
    { match: "meta l4proto { tcp, udp }", port: "th dport" },
    { match: `${icmp} type ${echo}`, port: `${icmp} id` },
    { match: `${errors} @th,${protocolAt},8 { 6, 17 }`, port: `@th,${portAt},16` },
    { match: `${errors} @th,${protocolAt},8 ${echoProtocol}`, port: `@th,${portAt + 32},16` },
  ];
}

/**
 * Only the first fragment of a packet has ports, and the engine must see them all: those that are the host's own come
 * back. Which of several workers the later ones belong to can't be told.
 */
function fragments(host: Host, { address, alias }: AutomapRoute): string {
  const { family } = parseCidr(address);
  const [ip, fragment, protocols] =
    family === 4
      ? ["ip", "ip frag-off & 0x3fff != 0", "{ tcp, udp, icmp }"]
      : ["ip6", "exthdr frag exists", "{ tcp, udp, ipv6-icmp }"];
  return `iifname ${names(host.external)} ${ip} daddr ${address} ${fragment} meta l4proto ${protocols} ${ip} daddr set ${alias} accept`;
}

/** A Pod stays on its worker, whatever its flows. */
function spread(host: Host, plan: NetworkPlan): string[] {
  return ["ip", "ip6"].map(
    (ip) =>
      `iifname ${names(host.internal)} meta mark set jhash ${ip} saddr mod ${plan.workers} seed 0x${spreadSeed.toString(16)} offset ${workerTable}`,
  );
}

function chain(name: string, hook: string, rules: readonly string[]): string[] {
  return [
    `  chain ${name} {`,
    `    type filter hook ${hook}; policy accept;`,
    ...rules.map((rule) => `    ${rule}`),
    "  }",
  ];
}

export function names(list: readonly string[]): string {
  return `{ ${list.map((name) => `"${name}"`).join(", ")} }`;
}

/** One line for each family that has members; members as an nft set without overlaps. */
export function byFamily(
  prefixes: readonly string[],
  line: (ip: "ip" | "ip6", set: string) => string,
): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const members = withoutOverlaps(prefixes.filter((prefix) => parseCidr(prefix).family === family));
    return members.length === 0 ? [] : [line(family === 4 ? "ip" : "ip6", `{ ${members.join(", ")} }`)];
  });
}

/** nft refuses intervals that overlap. Host addresses, of which there may be hundreds, contain nothing. */
function withoutOverlaps(prefixes: readonly string[]): string[] {
  const list = [...new Set(prefixes)].map((text) => ({ text, cidr: parseCidr(text) }));
  const networks = list.filter(({ cidr }) => cidr.prefixLength < (cidr.family === 4 ? 32 : 128));
  return list
    .filter(({ cidr }) =>
      networks.every(
        (outer) => outer.cidr.prefixLength >= cidr.prefixLength || !cidrContains(outer.cidr, cidr.network),
      ),
    )
    .map(({ text }) => text);
}
