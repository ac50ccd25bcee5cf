import { cidrContains, isIpv4, parseCidr } from "../addresses.ts";
import type { EgressConfig } from "../config/resolve.ts";
import type { Draining } from "../envoy/draining.ts";
import { closedSettings, feedLimits } from "../envoy/feed-format.ts";
import type { HostFacts } from "../netd/protocol.ts";
import type { Desired } from "./desired.ts";

/** As desire(), with Envoy as the data plane: no worker; one pool of all lists, alike for every worker of Envoy. */
export function desireForEnvoy(
  egress: EgressConfig | undefined,
  facts: Pick<HostFacts, "internalNets" | "external" | "defaultSources">,
  draining: Draining,
): Desired {
  const { internalNets } = facts;
  const { snat, dns, dualStack = false, nat64 } = egress ?? {};
  const pool = snat?.kind === "pool" ? snat.lists.flat() : [];
  const automap = egress !== undefined && snat?.kind === "automap" ? automapSources(egress, facts) : [];
  const sources = [...new Set([...pool, ...automap])];
  // Of the host's own addresses nothing is to be made local.
  const own = new Set(
    facts.external.flatMap(({ addresses }) => addresses).map((text) => text.split("/")[0]!),
  );
  const kept = draining.with(sources);
  const natSubnets = dns ? [dns.subnet] : [];
  return {
    plan: {
      workers: 1,
      natSubnets,
      snatPool: kept.filter((address) => !own.has(address)).map((address) => ({ address, worker: 0 })),
      automap: [],
      dnsIntercept: false,
      ...(egress && { envoy: { sources: kept, dns: dns !== undefined } }),
    },
    settings: [],
    dns: dns && {
      upstreams: dns.upstreams,
      maxTtl: dns.maxTtl,
      ...(dns.sorryIp !== undefined && { sorryIp: dns.sorryIp }),
    },
    dnsRateLimit: dns?.rateLimit ?? 0,
    mappingPool: dns && { subnet: dns.subnet, reserved: dns.reservedStatic },
    warnings: [
      ...(snat?.kind === "none"
        ? ["snatType SRC_TRANS_NONE: nothing can leave without a SNAT address"]
        : egress !== undefined && sources.length === 0
          ? ["automap: the external interfaces have no address: nothing can leave"]
          : []),
      ...(sources.length > feedLimits.snat
        ? [`Envoy's filter has room for ${feedLimits.snat} SNAT addresses: those behind are not used`]
        : []),
      ...(nat64 === undefined ? [] : ["nat64Enabled: not with Envoy as the data plane"]),
    ],
    feed:
      egress === undefined
        ? { ...closedSettings, internalNets }
        : { active: true, dualStack, internalNets, natSubnets, snat: sources },
  };
}

function automapSources(
  egress: EgressConfig,
  { internalNets, external, defaultSources }: Pick<HostFacts, "internalNets" | "external" | "defaultSources">,
): string[] {
  if (egress.automapAddresses.length > 0) return [...egress.automapAddresses];
  const inner = internalNets.map(parseCidr);
  const own = [
    ...defaultSources,
    ...external.flatMap(({ addresses }) => addresses).map((text) => text.split("/")[0]!),
  ].filter((address) => !inner.some((net) => cidrContains(net, address)));
  return [true, false].flatMap((four) => own.filter((address) => isIpv4(address) === four).slice(0, 1));
}
