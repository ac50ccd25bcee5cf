import { formatCidr, parseCidr } from "../addresses.ts";
import type { HostView, Route } from "./host-view.ts";
import { prefixOf } from "./outbound.ts";
import { contains, cover, nestingOrder, type Range, rangeOf } from "./prefixes.ts";
import type { RouteMtu } from "./protocol.ts";

/** Of the interfaces: what holds where no route says otherwise. */
export interface LinkMtus {
  readonly inner: number;
  readonly outer: number;
}

export interface RouteMtus {
  /** The longest prefixes first. */
  readonly routeMtus: readonly RouteMtu[];
  /** How many more there are than an engine takes. */
  readonly routeMtusLeftOut: number;
}

/** Prefixes with an MTU of their own that an engine takes (assembly/core/path-mtu.ts). */
export const maxRouteMtus = 256;

interface Way extends RouteMtu {
  readonly length: number;
  readonly range: Range;
}

/** What IPv4 and IPv6 demand of any link (RFC 791 §3.1, RFC 8200 §5). */
const least = { 4: 68, 6: 1280 };

/**
 * Prefixes towards which the kernel has another MTU than the interfaces': by the route's own setting, or by the link
 * that the route leads to. What a shorter prefix says already is left out; of too many, the shortest prefixes are, but
 * never that of a default route, which most traffic takes.
 */
export function routeMtus(
  view: Pick<HostView, "links" | "outbound">,
  internalNets: readonly string[],
  mtus: LinkMtus,
): RouteMtus {
  const isInner = cover(internalNets.map((net) => rangeOf(parseCidr(net))));
  const kept: Way[] = [];
  /** Those of `kept` that the way at hand lies in, the longest last. */
  const around: Way[] = [];
  for (const way of waysOf(view)) {
    while (around.length > 0 && !contains(around.at(-1)!.range, way.range)) around.pop();
    const otherwise = around.at(-1)?.mtu ?? (isInner(way.range) ? mtus.inner : mtus.outer);
    if (way.mtu === otherwise) continue;
    kept.push(way);
    around.push(way);
  }
  const longestFirst = kept.sort((a, b) => b.length - a.length);
  const defaults = longestFirst.filter(({ length }) => length === 0);
  const others = longestFirst.slice(0, kept.length - defaults.length);
  const heeded = [...others.slice(0, maxRouteMtus - defaults.length), ...defaults];
  return {
    routeMtus: heeded.map(({ to, mtu }) => ({ to, mtu })),
    routeMtusLeftOut: kept.length - heeded.length,
  };
}

/** What fits each of them. */
export function smallestMtu(interfaces: readonly { readonly mtu: number }[]): number {
  return Math.min(...interfaces.map(({ mtu }) => mtu), 65535);
}

/** One for each prefix, before those that lie in it. */
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
    .map(([to, routes]) => {
      const cidr = parseCidr(to);
      return { to, length: cidr.prefixLength, range: rangeOf(cidr), mtu: Math.min(...routes.map(mtuOf)) };
    })
    .sort((a, b) => nestingOrder(a.range, b.range));
}
