import { parseCidr } from "../addresses.ts";
import type { Host } from "./host.ts";
import type { SharedPorts } from "./protocol.ts";

/** Firewall mark of return traffic for worker n ≥ 1: this + n. What has none goes to worker 0. */
export const returnMark = 46000;

/** How long later fragments follow the first one. */
const pieceTimeout = "5s";

/** Packets that have a port of ours, and the nft expression of that port. */
export interface PortMatch {
  readonly match: string;
  readonly port: string;
}

/**
 * Return traffic to addresses that workers share is marked by destination port, echo identifier, or the source port in
 * the packet that an ICMP error quotes; one look-up tells the worker, however many there are. A fragment that comes
 * before the first one, which has the ports, goes to worker 0. Sets and chains of the nft table, as lines.
 */
export function sharedRules(
  host: Host,
  { addresses, slices }: SharedPorts,
  portMatches: (family: 4 | 6, echo: string) => readonly PortMatch[],
): string[] {
  const families = ([4, 6] as const).filter((family) =>
    addresses.some((each) => parseCidr(each).family === family),
  );
  const others = slices.filter(({ worker }) => worker > 0);
  const each = (rules: (family: 4 | 6, worker: number) => string) =>
    families.flatMap((family) => others.map(({ worker }) => rules(family, worker)));
  const marks = others.map(({ worker, ports }) => `${ports[0]}-${ports[1]} : ${returnMark + worker}`);
  const byPort = families
    .flatMap((family) => portMatches(family, "{ echo-reply, echo-request }"))
    .map(({ match, port }) => `${match} meta mark set ${port} map { ${marks.join(", ")} }`);
  return [
    ...each(pieceSet),
    ...chain(
      "shared-later",
      each(
        (family, worker) =>
          `${laterFragment[family]} ${key[family]} @${pieces(family, worker)} meta mark set ${returnMark + worker}`,
      ),
    ),
    ...chain(
      "shared-first",
      each(
        (family, worker) =>
          `${fragment[family]} meta mark ${returnMark + worker} update @${pieces(family, worker)} { ${key[family]} }`,
      ),
    ),
    ...chain("shared-ports", [
      ...families.map((family) => `${laterFragment[family]} goto shared-later`),
      ...new Set(byPort),
      ...families.map((family) => `${fragment[family]} goto shared-first`),
    ]),
    ...chain("shared", [
      "type filter hook prerouting priority mangle + 1; policy accept;",
      ...families.flatMap((family) => entrances(host, family, addresses)),
    ]),
  ];
}

function chain(name: string, lines: readonly string[]): string[] {
  return [`  chain ${name} {`, ...lines.map((line) => `    ${line}`), "  }"];
}

const fragment = { 4: "ip frag-off & 0x3fff != 0", 6: "exthdr frag exists" };
/** They must not come to rules about ports: in IPv6 those would take the flow label for one. */
export const laterFragment = { 4: "ip frag-off & 0x1fff != 0", 6: "frag frag-off != 0" };
const key = { 4: "ip saddr . ip daddr . ip id . ip protocol", 6: "ip6 saddr . ip6 daddr . frag id" };

function pieces(family: 4 | 6, worker: number): string {
  return `pieces${family}-${worker}`;
}

function pieceSet(family: 4 | 6, worker: number): string {
  return `  set ${pieces(family, worker)} { typeof ${key[family]}; size 65536; flags dynamic,timeout; timeout ${pieceTimeout}; }`;
}

/** From outside, or from another worker's Pod; what comes from a Pod itself goes to the Pod's own worker. */
function entrances(host: Host, family: 4 | 6, addresses: readonly string[]): string[] {
  const ip = family === 4 ? "ip" : "ip6";
  const ofFamily = (list: readonly string[]) => list.filter((each) => parseCidr(each).family === family);
  const to = `${ip} daddr { ${ofFamily(addresses).join(", ")} } jump shared-ports`;
  const both = host.external.filter((name) => host.internal.includes(name));
  const outer = [...host.external.filter((name) => !both.includes(name)), ...host.tuns];
  const pods = ofFamily(host.internalNets).map((net) => `${ip} saddr ${net} return`);
  const quoted = (list: readonly string[]) => `iifname { ${list.map((name) => `"${name}"`).join(", ")} }`;
  return [
    `${quoted(outer)} ${to}`,
    ...(both.length === 0 ? [] : [...pods.map((pod) => `${quoted(both)} ${pod}`), `${quoted(both)} ${to}`]),
  ];
}
