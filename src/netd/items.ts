import { formatCidr, parseCidr } from "../addresses.ts";

/** Marks every rule, route and neighbour proxy as ours (rtnetlink protocol number), so that remains are recognised. */
export const ourProtocol = 46;

/** The kernel's own table of what the host itself has; `ip` prints it by name. */
export const localTable = 255;

/** A rule, route or neighbour proxy; `text` is its canonical `ip` argument list, the same for desired and actual. */
export interface Item {
  readonly kind: "route" | "neigh" | "rule";
  readonly family: 4 | 6;
  readonly text: string;
}

/** `10.0.0.1/32` → `10.0.0.1`: prefixes as iproute2 prints them, addresses in RFC 5952 form. */
export function prefixText(prefix: string): string {
  if (prefix === "default") return prefix;
  const cidr = parseCidr(prefix);
  return cidr.prefixLength === (cidr.family === 4 ? 32 : 128) ? cidr.network : formatCidr(cidr);
}

export interface RouteFields {
  readonly type?: "blackhole" | "local";
  readonly to: string;
  readonly device?: string;
  readonly table?: number;
  readonly metric: number;
}

export function routeItem(family: 4 | 6, route: RouteFields): Item {
  const words = [
    ...(route.type === undefined ? [] : [route.type]),
    prefixText(route.to),
    ...(route.device === undefined ? [] : ["dev", route.device]),
    ...(route.table === undefined ? [] : ["table", route.table]),
    ...["metric", route.metric, "proto", ourProtocol],
  ];
  return { kind: "route", family, text: words.join(" ") };
}

export function neighItem(family: 4 | 6, proxy: { readonly address: string; readonly device: string }): Item {
  return {
    kind: "neigh",
    family,
    text: `proxy ${prefixText(proxy.address)} dev ${proxy.device} protocol ${ourProtocol}`,
  };
}

export interface RuleFields {
  readonly priority: number;
  /** Where it came in; absent: anywhere. */
  readonly device?: string;
  readonly from?: string;
  readonly to?: string;
  readonly mark?: number;
  /** TCP to port 53 only. */
  readonly dns?: boolean;
  readonly table: number | "main";
  /** Don't let the table's default route decide. */
  readonly noDefault?: boolean;
}

export function ruleItem(family: 4 | 6, rule: RuleFields): Item {
  const words = [
    ...["priority", rule.priority],
    ...selector("from", rule.from),
    ...selector("to", rule.to),
    ...(rule.device === undefined ? [] : ["iif", rule.device]),
    ...(rule.mark === undefined ? [] : ["fwmark", rule.mark]),
    ...(rule.dns ? ["ipproto", "tcp", "dport", 53] : []),
    ...["lookup", rule.table],
    ...(rule.noDefault ? ["suppress_prefixlength", 0] : []),
    ...["protocol", ourProtocol],
  ];
  return { kind: "rule", family, text: words.join(" ") };
}

/** The kernel keeps no prefix of length 0. */
function selector(name: "from" | "to", prefix: string | undefined): string[] {
  return prefix === undefined || parseCidr(prefix).prefixLength === 0 ? [] : [name, prefixText(prefix)];
}
