import { existsSync } from "node:fs";
import { ipJson } from "./command.ts";
import { ourProtocol } from "./items.ts";
import type { IpRuleRow } from "./kernel-state.ts";
import { outboundRoutes } from "./outbound.ts";

/** The part of the host's network configuration that decisions are made from. */
export interface HostView {
  readonly links: readonly Link[];
  /** Unicast routes of the main table, without our own. */
  readonly routes: readonly Route[];
  /** Routes that packets out of a TUN take, by longest prefix: of the main table, and of others by the policy rules. */
  readonly outbound: readonly Route[];
}

export interface Link {
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Global-scope addresses with prefix lengths, in the kernel's order; no failed or tentative ones. */
  readonly addresses: readonly string[];
}

export interface Route {
  readonly family: 4 | 6;
  /** Prefix, or "default". */
  readonly to: string;
  readonly device: string;
  /** Next hop. */
  readonly via?: string;
  /** Source address that the route itself prefers. */
  readonly source?: string;
  /** As configured on the route; absent: the interface's. */
  readonly mtu?: number;
  /** The smallest is the preferred one; absent: 0. */
  readonly metric?: number;
}

export interface IpAddrRow {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info?: readonly {
    readonly local?: string;
    readonly prefixlen?: number;
    readonly scope?: string;
    readonly tentative?: boolean;
    readonly dadfailed?: boolean;
  }[];
}

export interface IpRouteRow {
  readonly type?: string;
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly prefsrc?: string;
  readonly protocol?: string;
  readonly nexthops?: readonly { readonly dev?: string; readonly gateway?: string }[];
  readonly metric?: number;
  readonly metrics?: readonly { readonly mtu?: number }[];
  /** Absent: main. */
  readonly table?: string;
}

/** False where the kernel has no IPv6 at all: then nothing of ours asks for it. */
export function hostHasIpv6(): boolean {
  return existsSync("/proc/net/if_inet6");
}

export async function readHostView(): Promise<HostView> {
  const ipv6 = hostHasIpv6();
  const [addresses, routes4, routes6, rules4, rules6] = await Promise.all([
    ipJson<IpAddrRow>(["addr"]),
    ipJson<IpRouteRow>(["-4", "route", "show", "table", "all"]),
    ipv6 ? ipJson<IpRouteRow>(["-6", "route", "show", "table", "all"]) : [],
    ipJson<IpRuleRow>(["-4", "rule"]),
    ipv6 ? ipJson<IpRuleRow>(["-6", "rule"]) : [],
  ]);
  const main = (rows: readonly IpRouteRow[]) => rows.filter(({ table = "main" }) => table === "main");
  return {
    links: addresses.map(toLink),
    routes: [...toRoutes(4, main(routes4)), ...toRoutes(6, main(routes6))],
    outbound: [...outboundRoutes(4, rules4, routes4), ...outboundRoutes(6, rules6, routes6)],
  };
}

export function toLink(row: IpAddrRow): Link {
  const addresses = (row.addr_info ?? [])
    .filter(
      (info) => info.scope === "global" && !info.tentative && !info.dadfailed && info.local !== undefined,
    )
    .map((info) => `${info.local}/${info.prefixlen}`);
  return { name: row.ifname, mtu: row.mtu, up: row.flags.includes("UP"), addresses };
}

/** A multipath route counts once for each device. */
export function toRoutes(family: 4 | 6, rows: readonly IpRouteRow[]): Route[] {
  return rows
    .filter((row) => (row.type ?? "unicast") === "unicast" && row.protocol !== String(ourProtocol))
    .flatMap((row) => {
      const mtu = row.metrics?.find((each) => each.mtu !== undefined)?.mtu;
      return [row, ...(row.nexthops ?? [])].flatMap(({ dev, gateway }) =>
        dev === undefined
          ? []
          : [
              {
                family,
                to: row.dst,
                device: dev,
                ...(gateway === undefined ? {} : { via: gateway }),
                ...(row.prefsrc === undefined ? {} : { source: row.prefsrc }),
                ...(mtu === undefined ? {} : { mtu }),
                ...(row.metric === undefined ? {} : { metric: row.metric }),
              },
            ],
      );
    });
}
