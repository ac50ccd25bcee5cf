import { portRange } from "../envoy/clusters.ts";
import { type Sysctl, sysctlName } from "./sysctl.ts";

/** For sysctl(8): `sysctl -p FILE`. The ports of outgoing connections, too, which `run` leaves as they are. */
export function sysctlText(sysctls: readonly Sysctl[]): string {
  const lines = sysctls.map(({ key, value }) => `${sysctlName(key)} = ${value}`);
  return `${[...lines, `net.ipv4.ip_local_port_range = ${portRange.join(" ")}`].join("\n")}\n`;
}
