import { type Cidr, cidrContains, formatCidr, parseCidr } from "../addresses.ts";
import type { HostView, Route } from "./host-view.ts";
import { prefixOf } from "./outbound.ts";
import type { RouteMtu } from "./protocol.ts";

/** Of the interfaces: what holds where no route says otherwise. */
export interface LinkMtus {
  readonly inner: number;
  readonly outer: number;
}

interface Way extends RouteMtu {
  readonly cidr: Cidr;
}

/** What IPv4 and IPv6 demand of any link (RFC 791 §3.1, RFC 8200 §5). */
const least = { 4: 68, 6: 1280 };

/**
 * Prefixes towards which the kernel has another MTU than the interfaces', longest first: by the route's own setting, or
 * by the link that the route leads to. What a shorter prefix says already is left out.
 */
export function routeMtus(
  view: Pick<HostView, "links" | "outbound">,
  internalNets: readonly string[],
  mtus: LinkMtus,
): RouteMtu[] {
  const inner = internalNets.map(parseCidr);
  const byDefault = (cidr: Cidr) => (inner.some((net) => contains(net, cidr)) ? mtus.inner : mtus.outer);
  const kept: Way[] = [];
  for (const way of waysOf(view)) {
    const around = kept.findLast(({ cidr }) => contains(cidr, way.cidr));
    if (way.mtu !== (around?.mtu ?? byDefault(way.cidr))) kept.push(way);
  }
  return kept.reverse().map(({ to, mtu }) => ({ to, mtu }));
}

/** What fits each of them. */
export function smallestMtu(interfaces: readonly { readonly mtu: number }[]): number {
  return Math.min(...interfaces.map(({ mtu }) => mtu), 65535);
}

/** One for each prefix, the shortest first. */
function waysOf({ links, outbound }: Pick<HostView, "links" | "outbound">): Way[] {
  const linkMtu = new Map(links.map(({ name, mtu }) => [name, mtu]));
  const mtuOf = ({ device, mtu, family }: Route) =>
    Math.max(least[family], Math.min(mtu ?? 65535, linkMtu.get(device) ?? 65535));
  const best = new Map<string, Route[]>();
  for (const route of outbound) {
    const to = formatCidr(prefixOf(route));
    const [rival] = best.get(to) ?? [];
    const metric = route.metric ?? 0;
    // Of several routes to a prefix the first of the lowest metric is taken; with several next hops any of these.
    if (rival === undefined || metric < (rival.metric ?? 0)) best.set(to, [route]);
    else if (metric === (rival.metric ?? 0)) best.get(to)!.push(route);
  }
  return [...best]
    .filter(([to, routes]) => routes[0]?.device !== "lo" && !to.startsWith("fe80::"))
    .map(([to, routes]) => ({ to, cidr: parseCidr(to), mtu: Math.min(...routes.map(mtuOf)) }))
    .sort((a, b) => a.cidr.prefixLength - b.cidr.prefixLength);
}

function contains(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.family === inner.family &&
    outer.prefixLength <= inner.prefixLength &&
    cidrContains(outer, inner.network)
  );
}
