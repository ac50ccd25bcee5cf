import { readFileSync } from "node:fs";

export type PortRange = readonly [first: number, last: number];

const allowed: PortRange = [16384, 65535];
/** Kubernetes' default NodePort range: kube-proxy answers there without a socket. */
const nodePorts: PortRange = [30000, 32767];

/** The largest run of ports, inclusive, that touches none of the ranges in use; undefined when nothing is left. */
export function largestGap(used: readonly PortRange[]): PortRange | undefined {
  const sorted = [...used].sort((a, b) => a[0] - b[0]);
  let best: PortRange | undefined;
  let next = allowed[0];
  for (const [first, last] of [...sorted, [allowed[1] + 1, allowed[1] + 1] as const]) {
    if (first > next && (best === undefined || first - 1 - next > best[1] - best[0]))
      best = [next, first - 1];
    next = Math.max(next, last + 1);
  }
  return best;
}

/** Local ports in the text of /proc/net/{tcp,tcp6,udp,udp6}: the second column, address:port in hexadecimal. */
export function localPorts(table: string): number[] {
  return [...table.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm)].map((match) =>
    Number.parseInt(match[1]!, 16),
  );
}

/** Ports for automap on this host: neither its ephemeral range, nor NodePorts, nor a port that a socket has now. */
export function readAutomapPorts(): PortRange | undefined {
  const [low = 0, high = 0] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8")
    .trim()
    .split(/\s+/)
    .map(Number);
  const sockets = ["tcp", "tcp6", "udp", "udp6"].flatMap((name) =>
    localPorts(readIfThere(`/proc/net/${name}`)),
  );
  return largestGap([[low, high], nodePorts, ...sockets.map((port): PortRange => [port, port])]);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
