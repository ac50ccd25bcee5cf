import { cidrContains, isIpv4, numberToIpv4, parseCidr } from "../addresses.ts";
import type { EgressConfig, Snat } from "../config/resolve.ts";
import type { DnsConfig } from "../dns/proxy.ts";
import { defaultBehaviour, type NatBehaviour } from "../engine/behaviour.ts";
import { type EngineSettings, inactiveSettings } from "../engine/settings.ts";
import type { FeedSettings } from "../envoy/feed-format.ts";
import type { PoolSettings } from "../mappings/mappings.ts";
import type { AutomapRoute, HostFacts, NetworkPlan, SharedPorts } from "../netd/protocol.ts";
import { smallestMtu } from "../netd/route-mtus.ts";
import { blockWarnings } from "./block-warnings.ts";
import { type Share, sharedPorts, sharedShares } from "./shared-snat.ts";

/** Everything that follows from the configuration in force and the host it runs on. Pure data. */
export interface Desired {
  readonly plan: NetworkPlan;
  /** One a worker. */
  readonly settings: readonly EngineSettings[];
  readonly dns: DnsConfig | undefined;
  /** Queries a second, of the whole gateway; 0 = any number. */
  readonly dnsRateLimit: number;
  readonly mappingPool: PoolSettings | undefined;
  /** For the operator: what of the configuration finds nothing on this host. */
  readonly warnings: readonly string[];
  /** With Envoy as the data plane. */
  readonly feed?: FeedSettings | undefined;
}

/** Ports of a SNAT pool address: all but the well-known ones (RFC 6056 §3.2). */
const poolPorts = [1024, 65535] as const;
/** First aliases of automap addresses: IETF protocol assignments (RFC 6890) and a unique local prefix, never on a wire. */
const firstAlias4 = 0xc0000080;
const aliasPrefix6 = "fd46:e6e6:e6e6::";

/**
 * `egress` undefined = nothing may leave. `workers` is how many TUNs there are, `maxMappings` what each has room for.
 */
export function desire(
  egress: EgressConfig | undefined,
  facts: HostFacts,
  workers: number,
  behaviour: NatBehaviour = defaultBehaviour,
  maxMappings = Number.POSITIVE_INFINITY,
): Desired {
  const common = {
    mtuInner: smallestMtu(facts.internal),
    mtuOuter: smallestMtu(facts.external),
    routeMtus: facts.routeMtus,
    internalNets: facts.internalNets,
    coalesceUdp: facts.tuns.length > 0 && facts.tuns.every(({ uso }) => uso),
    self4: ownAddress(facts.internal, true),
    self6: ownAddress(facts.internal, false),
    behaviour,
  };
  if (egress === undefined)
    return {
      plan: { workers: 1, natSubnets: [], snatPool: [], automap: [], dnsIntercept: false },
      settings: Array.from({ length: workers }, () => ({ ...inactiveSettings, ...common })),
      dns: undefined,
      dnsRateLimit: 0,
      mappingPool: undefined,
      warnings: [],
    };

  const { dns, snat, nat64 } = egress;
  const used = snat.kind === "pool" && !snat.shared ? Math.min(workers, snat.lists.length) : workers;
  const shared =
    snat.kind === "pool" && snat.shared ? sharedPorts(snat.lists.flat(), used, poolPorts) : undefined;
  const { shares, routes, warnings } =
    snat.kind === "pool"
      ? poolShares(snat.lists, used, shared)
      : snat.kind === "automap"
        ? automapShares(egress, facts, used)
        : {
            shares: [],
            routes: [],
            warnings: ["snatType SRC_TRANS_NONE: nothing can leave without a SNAT address"],
          };
  const aliased = new Set(routes.map((route) => route.alias));
  const natSubnets = dns ? [dns.subnet] : [];
  const pools = Array.from({ length: workers }, (_, worker) =>
    shares.filter((share) => share.worker === worker).map(({ entry }) => entry),
  );
  const { portBlock } = behaviour;
  const blockNotes =
    portBlock > 0 ? blockWarnings(portBlock, egress, facts.internalNets, pools.slice(0, used)) : [];
  return {
    plan: {
      workers: used,
      natSubnets: nat64 === undefined ? natSubnets : [...natSubnets, nat64],
      snatPool: shares
        .filter(({ entry, worker }) => !aliased.has(entry.inbound) && (shared === undefined || worker === 0))
        .map(({ entry, worker }) => ({ address: entry.address, worker })),
      ...(shared && used > 1 && { shared }),
      automap: routes,
      dnsIntercept: dns !== undefined,
    },
    settings: Array.from({ length: workers }, (_, worker) => ({
      ...common,
      active: true,
      dualStack: egress.dualStack,
      dns: dns !== undefined,
      // Pods are spread over the workers: each has its share, and at least one question.
      ...(dns && dns.rateLimit > 0 && { dnsRate: Math.ceil(dns.rateLimit / used) }),
      natSubnets,
      nat64,
      pool: pools[worker]!,
    })),
    dns: dns && {
      upstreams: dns.upstreams,
      subnet: dns.subnet,
      maxTtl: dns.maxTtl,
      ...(dns.sorryIp !== undefined && { sorryIp: dns.sorryIp }),
    },
    dnsRateLimit: dns?.rateLimit ?? 0,
    mappingPool: dns && { subnet: dns.subnet, reserved: dns.reservedStatic, maxTtl: dns.maxTtl },
    warnings: [
      ...warnings,
      ...workerWarnings(snat, workers - used),
      ...rateWarnings(dns?.rateLimit ?? 0, used),
      ...mappingWarnings(dns?.subnet, maxMappings),
      ...blockNotes,
      ...routeWarnings(facts),
      ...upstreamWarnings(dns?.upstreams ?? [], facts),
      ...nat64Warnings(nat64, facts.internalNets),
    ],
  };
}

/** The nth list is the nth worker's; with fewer workers than lists worker n serves n, n+W, … Or all have all of them. */
function poolShares(lists: readonly (readonly string[])[], workers: number, shared: SharedPorts | undefined) {
  const [firstPort, lastPort] = poolPorts;
  const shares: Share[] = shared
    ? sharedShares(shared)
    : lists.flatMap((list, index) =>
        list.map((address) => ({
          worker: index % workers,
          entry: { address, inbound: address, firstPort, lastPort },
        })),
      );
  return { shares, routes: [] as AutomapRoute[], warnings: [] as string[] };
}

/**
 * Automap: each worker has its slice of the port range. An address that the host itself has needs an alias for return
 * traffic; a self IP that it doesn't have is routed like a pool address.
 */
function automapShares(egress: EgressConfig, facts: HostFacts, workers: number) {
  const own = [...facts.defaultSources, ...addressesOf(facts.external)];
  const inner = facts.internalNets.map(parseCidr);
  // On an interface that is internal, too, some addresses are the Pods' side: no reply to them would come by from outside.
  const outer = own.filter((address) => !inner.some((net) => cidrContains(net, address)));
  const first = (four: boolean) => outer.filter((address) => isIpv4(address) === four).slice(0, 1);
  const selfIps = egress.automapAddresses;
  const addresses = selfIps.length > 0 ? selfIps : [...first(true), ...first(false)];
  const shares: Share[] = [];
  const routes: AutomapRoute[] = [];
  const warnings: string[] = [];
  for (const address of addresses) {
    const shared = own.includes(address);
    const range = shared ? facts.automapPorts : poolPorts;
    if (range === undefined) {
      warnings.push(`automap: every port of ${address} is the host's own: nothing can leave from it`);
      continue;
    }
    const [low, high] = range;
    const size = Math.floor((high - low + 1) / workers);
    // Without an alias return traffic can't be told apart by port: the address is one worker's.
    for (let worker = 0; worker < (shared ? workers : 1); worker++) {
      const ports = shared ? ([low + worker * size, low + (worker + 1) * size - 1] as const) : poolPorts;
      const alias = isIpv4(address)
        ? numberToIpv4(firstAlias4 + routes.length)
        : `${aliasPrefix6}${(routes.length + 1).toString(16)}`;
      const inbound = shared ? alias : address;
      shares.push({ worker, entry: { address, inbound, firstPort: ports[0], lastPort: ports[1] } });
      if (shared) routes.push({ address, alias, worker, ports });
    }
  }
  const names = facts.external.map((each) => each.name).join(", ");
  const sixUsed = egress.dualStack || egress.dns !== undefined;
  for (const family of sixUsed ? [4, 6] : [4]) {
    const ofFamily = (address: string) => isIpv4(address) === (family === 4);
    if (addresses.some(ofFamily)) continue;
    const lack = own.some(ofFamily)
      ? `every IPv${family} address of ${names} is in an internal network`
      : `no IPv${family} address on ${names}`;
    warnings.push(`automap: ${lack}: what would leave as IPv${family} is dropped`);
  }
  return { shares, routes, warnings };
}

function workerWarnings(snat: Snat, idle: number): string[] {
  if (snat.kind !== "pool" || idle <= 0) return [];
  const { lists, name } = snat;
  const workers = lists.length + idle;
  return [
    `--workers ${workers}: SNAT pool ${name} has ${lists.length} ${lists.length === 1 ? "list" : "lists"}, so ${idle} of the workers ${idle === 1 ? "has" : "have"} nothing to do: give it ${workers} lists, or set sharedSnatAddressEnabled`,
  ];
}

function rateWarnings(limit: number, workers: number): string[] {
  if (limit === 0 || workers === 1) return [];
  const share = Math.ceil(limit / workers);
  return [
    `dnsRateLimit ${limit}: each of the ${workers} workers lets ${share} questions a second through, and a client's come to one of them: where a few resolvers (CoreDNS) ask for all Pods, multiply the limit, or set --workers 1`,
  ];
}

function mappingWarnings(subnet: string | undefined, maxMappings: number): string[] {
  if (subnet === undefined) return [];
  const addresses = 2 ** (32 - parseCidr(subnet).prefixLength);
  if (addresses <= maxMappings) return [];
  return [
    `--max-mappings ${maxMappings}: dnsNat46Ipv4Subnet ${subnet} has ${addresses} addresses: once so many hosts have one, names of others get SERVFAIL`,
  ];
}

function routeWarnings({ routeMtus, routeMtusLeftOut: more = 0 }: HostFacts): string[] {
  if (more === 0) return [];
  return [
    `${routeMtus.length + more} routes have an MTU of their own, and ${routeMtus.length} can be heeded: for the ${more} with the shortest prefixes, default routes apart, the interface's MTU counts`,
  ];
}

/** Port 53 of our addresses is ours, or what the host runs there; the engine doesn't see what the host sends itself. */
function upstreamWarnings(upstreams: readonly string[], facts: HostFacts): string[] {
  const own = addressesOf([...facts.internal, ...facts.external]);
  return upstreams
    .filter((upstream) => own.includes(upstream))
    .map(
      (upstream) =>
        `dnsNat46PoolIps: ${upstream} is an address of this gateway: unless the host runs a DNS server there, names get SERVFAIL`,
    );
}

/** The prefix comes before the internal networks: what it takes of them can't be reached any more. */
function nat64Warnings(prefix: string | undefined, internalNets: readonly string[]): string[] {
  if (prefix === undefined) return [];
  const inside = internalNets.filter((net) => cidrContains(parseCidr(prefix), parseCidr(net).network));
  const lost = inside.map(
    (net) => `nat64Ipv6Subnet ${prefix} holds the internal network ${net}: Pods can't reach each other there`,
  );
  const six = internalNets.some((net) => parseCidr(net).family === 6);
  return six ? lost : [`nat64Enabled: no internal network has IPv6: no Pod can use NAT64`];
}

function addressesOf(interfaces: HostFacts["internal"]): string[] {
  return interfaces.flatMap((each) => each.addresses).map((text) => text.split("/")[0]!);
}

function ownAddress(interfaces: HostFacts["internal"], four: boolean): string | undefined {
  return addressesOf(interfaces).find((address) => isIpv4(address) === four);
}
