import { readFileSync, writeFileSync } from "node:fs";
import { cidrContains, parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import type { Host } from "./host.ts";
import type { NetworkPlan } from "./protocol.ts";

export interface Sysctl {
  /** Below /proc/sys. */
  readonly key: string;
  readonly value: number;
  /** Leave it alone unless this value is in force. */
  readonly onlyFrom?: number;
}

export interface SysctlChange extends Sysctl {
  readonly was: number;
}

export function desiredSysctls(host: Host, plan: NetworkPlan): Sysctl[] {
  const pool4 = plan.snatPool.some(({ address }) => parseCidr(address).family === 4);
  const pool6 = host.ipv6 && plan.snatPool.some(({ address }) => parseCidr(address).family === 6);
  const v4 = (device: string, name: string, value: number): Sysctl => ({
    key: `net/ipv4/conf/${device}/${name}`,
    value,
  });
  const v6 = (device: string, name: string, value: number): Sysctl => ({
    key: `net/ipv6/conf/${device}/${name}`,
    value,
  });
  // Proxy answers would wait up to 0.8 s by default.
  const prompt = (family: 4 | 6, device: string): Sysctl => ({
    key: `net/ipv${family}/neigh/${device}/proxy_delay`,
    value: 0,
  });
  const natSubnets4 = plan.natSubnets.filter((subnet) => parseCidr(subnet).family === 4);
  const arp = host.connected.filter(({ net }) => natSubnets4.some((subnet) => overlaps(net, subnet)));
  return [
    // The kernel takes the larger of all/ and the interface's own: 2 (loose) beats 1 (strict), which would refuse
    // return traffic that comes by another way than the route back.
    ...[...host.tuns, ...host.internal, ...host.external].map(
      (device): Sysctl => ({ ...v4(device, "rp_filter", 2), onlyFrom: 1 }),
    ),
    // Automap packets leave the TUN with an address of our own as their source.
    ...host.tuns.map((tun) => v4(tun, "accept_local", 1)),
    ...(host.ipv6
      ? [
          ...host.tuns.map((tun) => v6(tun, "disable_ipv6", 0)),
          // A forwarding host ignores router advertisements at 1 and would lose its default route.
          ...host.external.map((device): Sysctl => ({ ...v6(device, "accept_ra", 2), onlyFrom: 1 })),
          v6("all", "forwarding", 1),
        ]
      : []),
    { key: "net/ipv4/ip_forward", value: 1 },
    ...(pool4 ? host.external.map((device) => prompt(4, device)) : []),
    ...(pool6 ? host.external.flatMap((device) => [v6(device, "proxy_ndp", 1), prompt(6, device)]) : []),
    ...arp.flatMap(({ device }) => [v4(device, "proxy_arp", 1), prompt(4, device)]),
  ];
}

function overlaps(a: string, b: string): boolean {
  const [x, y] = [parseCidr(a), parseCidr(b)];
  return x.family === y.family && (cidrContains(x, y.network) || cidrContains(y, x.network));
}

/** What has to be written, and what is there now. `read` gives undefined for a key that the kernel doesn't have. */
export function sysctlChanges(
  wanted: readonly Sysctl[],
  read: (key: string) => number | undefined,
): SysctlChange[] {
  return wanted.flatMap((sysctl) => {
    const was = read(sysctl.key);
    if (was === undefined || was === sysctl.value) return [];
    const all = sysctl.key.endsWith("/rp_filter") ? (read("net/ipv4/conf/all/rp_filter") ?? 0) : was;
    return sysctl.onlyFrom === undefined || sysctl.onlyFrom === Math.max(was, all)
      ? [{ ...sysctl, was }]
      : [];
  });
}

/** undefined where the kernel has no such key (neigh/ inside a user namespace, no IPv6). */
export function readSysctl(key: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/${key}`, "utf8"));
  } catch {
    return undefined;
  }
}

export function writeSysctl(key: string, value: number): void {
  try {
    writeFileSync(`/proc/sys/${key}`, String(value));
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? cause.code : cause;
    throw new Eg46Error("EG46_HOST_NETWORK", `cannot set sysctl ${sysctlName(key)} to ${value}: ${reason}`, {
      cause,
    });
  }
}

/** As sysctl(8) prints it: `net/ipv4/conf/eth0.7/rp_filter` → `net.ipv4.conf.eth0/7.rp_filter`. */
export function sysctlName(key: string): string {
  return key.replace(/[./]/g, (separator) => (separator === "/" ? "." : "/"));
}
