import { parseCidr } from "../addresses.ts";
import type { Host } from "./host.ts";
import type { SharedPorts } from "./protocol.ts";

/** Firewall mark of return traffic for worker n ≥ 1: this + n. What has none goes to worker 0. */
export const returnMark = 46000;

/** How long later fragments follow the first one. */
const pieceTimeout = "5s";

/**
 * Return traffic to addresses that workers share is marked by destination port, echo identifier, or the source port in
 * the packet that an ICMP error quotes. A fragment that comes before the first one, which has the ports, goes to worker
 * 0. Sets and chains of the nft table, as lines.
 */
export function sharedRules(
  host: Host,
  { addresses, slices }: SharedPorts,
  byPort: (family: 4 | 6, ports: string) => readonly string[],
): string[] {
  const families = ([4, 6] as const).filter((family) =>
    addresses.some((each) => parseCidr(each).family === family),
  );
  const others = slices.filter(({ worker }) => worker > 0);
  const each = (rules: (family: 4 | 6, worker: number, ports: string) => readonly string[]) =>
    others.flatMap(({ worker, ports }) =>
      families.flatMap((family) => rules(family, worker, `${ports[0]}-${ports[1]}`)),
    );
  const rules = [
    ...each((family, worker) => [
      `${laterFragment[family]} ${key[family]} @${pieces(family, worker)} meta mark set ${returnMark + worker}`,
    ]),
    ...families.map((family) => `${laterFragment[family]} return`),
    ...each((family, worker, ports) =>
      byPort(family, ports).map((match) => `${match} meta mark set ${returnMark + worker}`),
    ),
    ...each((family, worker) => [
      `${fragment[family]} meta mark ${returnMark + worker} update @${pieces(family, worker)} { ${key[family]} }`,
    ]),
  ];
  return [
    ...each((family, worker) => [pieceSet(family, worker)]),
    "  chain shared-ports {",
    ...[...new Set(rules)].map((rule) => `    ${rule}`),
    "  }",
    "  chain shared {",
    "    type filter hook prerouting priority mangle + 1; policy accept;",
    ...families.flatMap((family) => entrances(host, family, addresses)).map((rule) => `    ${rule}`),
    "  }",
  ];
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
