import { parseCidr } from "../addresses.ts";
import { type IpRouteRow, type Route, toRoutes } from "./host-view.ts";
import { ourProtocol } from "./items.ts";
import type { IpRuleRow } from "./kernel-state.ts";
import { cover, rangeOf } from "./prefixes.ts";

/** Fields of a rule that select nothing. */
const neutral = new Set(["priority", "protocol", "src", "table", "suppress_prefixlen", "not"]);

/**
 * The routes of one family that packets out of a TUN take, as one table to be looked up by longest prefix. A rule is
 * taken into account when it selects nothing, or by a mark, which those packets don't have.
 */
export function outboundRoutes(
  family: 4 | 6,
  rules: readonly IpRuleRow[],
  rows: readonly IpRouteRow[],
): Route[] {
  let result: Route[] = [];
  for (const rule of rules.filter(holds)) {
    const { table, suppress_prefixlen: suppressed = -1 } = rule;
    // An earlier table that has any route to the destination has decided.
    const isDecided = cover(result.map((route) => rangeOf(prefixOf(route))));
    const routes = toRoutes(
      family,
      rows.filter((row) => (row.table ?? "main") === table),
    ).filter((route) => {
      const prefix = prefixOf(route);
      return prefix.prefixLength > suppressed && !isDecided(rangeOf(prefix));
    });
    result = [...result, ...routes];
  }
  return result;
}

function holds(rule: IpRuleRow): boolean {
  if (rule.protocol === String(ourProtocol) || rule.src !== "all" || rule.table === "local") return false;
  const selectors = Object.keys(rule).filter((field) => !neutral.has(field));
  const unmarked = selectors.every((field) => field === "fwmark" || field === "fwmask");
  return unmarked && selectors.length > 0 === "not" in rule;
}

export function prefixOf({ to, family }: Route) {
  return parseCidr(to === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : to);
}
