import { ipJson } from "./command.ts";
import type { IpRouteRow } from "./host-view.ts";
import {
  type Item,
  localTable,
  neighItem,
  ourProtocol,
  type RuleFields,
  routeItem,
  ruleItem,
} from "./items.ts";

/** A row of `ip -j rule`. */
export interface IpRuleRow {
  readonly priority: number;
  readonly protocol?: string;
  readonly src?: string;
  readonly srclen?: number;
  readonly dst?: string;
  readonly dstlen?: number;
  readonly iif?: string;
  readonly fwmark?: string;
  readonly dport?: number;
  readonly table?: string;
  readonly suppress_prefixlen?: number;
  /** Present (null): the rule holds where its selector doesn't. */
  readonly not?: null;
}

/** Our own rules, routes and neighbour proxies as the kernel has them now, also those of a predecessor that was killed. */
export async function readItems(ipv6: boolean): Promise<Item[]> {
  const families = ipv6 ? ([4, 6] as const) : ([4] as const);
  const perFamily = await Promise.all(
    families.map(async (family) => {
      const [routes, proxies, rules] = await Promise.all([
        ipJson<IpRouteRow>([`-${family}`, "route", "show", "table", "all", "proto", String(ourProtocol)]),
        ipJson<{ dst: string; dev: string; protocol?: string }>([`-${family}`, "neigh", "show", "proxy"]),
        ipJson<IpRuleRow>([`-${family}`, "rule"]),
      ]);
      return [
        ...routes.map((row) => parseRoute(family, row)),
        ...proxies
          .filter((row) => row.protocol === String(ourProtocol))
          .map((row) => neighItem(family, { address: row.dst, device: row.dev })),
        ...rules.filter((row) => row.protocol === String(ourProtocol)).map((row) => parseRule(family, row)),
      ];
    }),
  );
  return perFamily.flat();
}

export function parseRoute(family: 4 | 6, row: IpRouteRow): Item {
  const type = row.type === "blackhole" || row.type === "local" ? row.type : undefined;
  return routeItem(family, {
    to: row.dst,
    metric: row.metric ?? 0,
    ...(type === undefined ? {} : { type }),
    // IPv6 names lo for a blackhole; it is no choice of ours.
    ...(row.dev === undefined || type === "blackhole" ? {} : { device: row.dev }),
    ...(row.table === undefined || row.table === "main" ? {} : { table: tableNumber(row.table) }),
  });
}

function tableNumber(name: string): number {
  return name === "local" ? localTable : Number(name);
}

export function parseRule(family: 4 | 6, row: IpRuleRow): Item {
  const prefix = (address: string | undefined, length: number | undefined) =>
    address === undefined || address === "all"
      ? undefined
      : length === undefined
        ? address
        : `${address}/${length}`;
  const from = prefix(row.src, row.srclen);
  const to = prefix(row.dst, row.dstlen);
  const fields: RuleFields = {
    priority: row.priority,
    table: row.table === "main" ? "main" : Number(row.table),
    dns: row.dport !== undefined,
    noDefault: row.suppress_prefixlen !== undefined,
    ...(row.iif === undefined ? {} : { device: row.iif }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(row.fwmark === undefined ? {} : { mark: Number(row.fwmark) }),
  };
  return ruleItem(family, fields);
}
