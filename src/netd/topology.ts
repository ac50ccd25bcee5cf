import { canonicalCidrs, cidrContains, formatCidr, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import type { HostView, Link, Route } from "./host-view.ts";
import type { InterfaceFacts } from "./protocol.ts";

export interface TopologyRequest {
  readonly internal: readonly string[];
  readonly internalNets: readonly string[];
  readonly external: readonly string[];
}

export interface Interfaces {
  readonly internal: readonly string[];
  readonly external: readonly string[];
}

const example = "egress46 run -f egress.yaml --internal eth1 --external eth0";

/** The interfaces that the command line names, or those that the routing table suggests. Throws EG46_USAGE or EG46_INTERFACE. */
export function chooseInterfaces(view: HostView, request: TopologyRequest): Interfaces {
  if (request.internal.length === 0 && request.internalNets.length === 0)
    throw new Eg46Error(
      "EG46_USAGE",
      `tell where the Pods are, by --internal IF or --internal-net CIDR, for example: ${example}`,
    );
  const external = unique(request.external.length > 0 ? request.external : defaultDevices(view));
  if (external.length === 0)
    throw new Eg46Error(
      "EG46_USAGE",
      `there is no default route to find the external interface by; name it, for example: ${example}`,
    );
  const internal = unique(
    request.internal.length > 0
      ? request.internal
      : request.internalNets.map((net) => deviceTowards(view, net)),
  );
  for (const name of [...internal, ...external]) {
    // The characters that nft and `ip -batch` take literally; a trailing * would be a wildcard.
    if (!/^[\w.:+@-]{1,15}$/.test(name))
      throw new Eg46Error("EG46_USAGE", `'${name}' is not a usable interface name`);
    if (!view.links.some((link) => link.name === name)) {
      const known = view.links.map((link) => link.name).join(", ");
      throw new Eg46Error(
        "EG46_INTERFACE",
        `there is no interface '${name}' in this network namespace (there are: ${known})`,
      );
    }
  }
  const shared = internal.filter((name) => external.includes(name));
  if (shared.length > 0 && request.internalNets.length === 0)
    throw new Eg46Error(
      "EG46_USAGE",
      `'${shared[0]}' is internal and external at once; tell Pods from the rest by their prefix, for example: egress46 run -f egress.yaml --internal-net 10.244.0.0/16`,
    );
  return { internal, external };
}

/** Prefixes that Pods' sources must belong to: as given, or everything that is on or behind the internal interfaces. */
export function internalNetworks(view: HostView, interfaces: Interfaces, given: readonly string[]): string[] {
  if (given.length > 0) return canonicalCidrs(given);
  const connected = view.links
    .filter((link) => interfaces.internal.includes(link.name))
    .flatMap((link) => link.addresses.map((address) => formatCidr(parseCidr(address))));
  const routed = view.routes
    .filter((route) => interfaces.internal.includes(route.device) && route.to !== "default")
    .map((route) => formatCidr(parseCidr(route.to)));
  return unique([...connected, ...routed]).filter(
    (net) => !/^(fe80::|ff[0-9a-f]{2}:|22[4-9]\.|23\d\.)/.test(net),
  );
}

export function interfaceFacts(view: HostView, names: readonly string[]): InterfaceFacts[] {
  return names
    .map((name) => view.links.find((link) => link.name === name))
    .filter((link): link is Link => link !== undefined)
    .map(({ name, mtu, addresses }) => ({ name, mtu, addresses }));
}

/** The sources that the host itself takes on its default routes by these interfaces, best route first. */
export function defaultSources(view: HostView, external: readonly string[]): string[] {
  const sources = view.routes
    .filter((route) => route.to === "default" && external.includes(route.device))
    .map((route) => route.source ?? neighbourOf(view, route));
  return unique(sources.filter((source) => source !== undefined));
}

/** Our address on the link of the route's next hop. */
function neighbourOf(view: HostView, { device, via }: Route): string | undefined {
  const addresses = view.links.find((link) => link.name === device)?.addresses ?? [];
  const near = addresses.find((address) => via !== undefined && cidrContains(parseCidr(address), via));
  return near?.split("/")[0];
}

function defaultDevices(view: HostView): string[] {
  return view.routes.filter((route) => route.to === "default").map((route) => route.device);
}

/** Longest prefix match for the network's first address. */
function deviceTowards(view: HostView, net: string): string {
  const { network, family } = parseCidr(net);
  const matches = view.routes
    .filter((route) => route.family === family)
    .map((route) => ({
      device: route.device,
      cidr: parseCidr(route.to === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : route.to),
    }))
    .filter(({ cidr }) => cidrContains(cidr, network))
    .sort((a, b) => b.cidr.prefixLength - a.cidr.prefixLength);
  const best = matches[0];
  if (best === undefined)
    throw new Eg46Error(
      "EG46_USAGE",
      `no route leads to --internal-net ${net}; name the interface with --internal IF`,
    );
  return best.device;
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
