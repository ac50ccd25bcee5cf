import { isIpv4, isIpv6 } from "../addresses.ts";
import {
  bindSocket,
  checked,
  close,
  listen,
  O_CLOEXEC,
  O_NONBLOCK,
  setsockopt,
  socket,
} from "../dataplane/syscalls.ts";
import { Eg46Error } from "../errors.ts";
import type { DnsSocket, InterfaceFacts } from "./protocol.ts";
import {
  AF_INET,
  AF_INET6,
  enable,
  IP_FREEBIND,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_IP,
  SOL_SOCKET,
  socketAddress,
  whyNotOpened,
} from "./sockets.ts";

const dnsPort = 53;
const backlog = 511;
const SO_BINDTODEVICE = 25;
const IP_TRANSPARENT = 19;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;

/**
 * The sockets that DNS interception needs: TCP listeners for any destination address on each internal interface, and
 * UDP sockets for queries to the gateway's own internal addresses (to any other address they come through the TUN).
 */
export function wantedDnsSockets(internal: readonly InterfaceFacts[], ipv6: boolean): DnsSocket[] {
  const addresses = internal.flatMap((facts) => facts.addresses.map((address) => address.split("/")[0]!));
  return internal.flatMap(({ name: device }) => [
    { transport: "tcp", family: 4, device, address: "0.0.0.0" } as const,
    ...(ipv6 ? [{ transport: "tcp", family: 6, device, address: "::" } as const] : []),
    ...addresses.filter(isIpv4).map((address) => ({ transport: "udp", family: 4, device, address }) as const),
    ...addresses.filter(isIpv6).map((address) => ({ transport: "udp", family: 6, device, address }) as const),
  ]);
}

/** Opens one; the caller closes the descriptor. Throws EG46_DNS_LISTEN, for one when another process has the port. */
export function openDnsSocket(wanted: DnsSocket): number {
  const [domain, type] = [
    wanted.family === 4 ? AF_INET : AF_INET6,
    wanted.transport === "tcp" ? SOCK_STREAM : SOCK_DGRAM,
  ];
  const fd = checked("socket", socket(domain, type | O_NONBLOCK | O_CLOEXEC, 0));
  try {
    const device = Buffer.from(wanted.device);
    checked("SO_BINDTODEVICE", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length));
    if (wanted.family === 6) enable(fd, "IPV6_V6ONLY", SOL_IPV6, IPV6_V6ONLY);
    // A new IPv6 address may still be under duplicate address detection.
    enable(fd, "IP_FREEBIND", SOL_IP, IP_FREEBIND);
    if (wanted.transport === "tcp") {
      enable(fd, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR);
      if (wanted.family === 4) enable(fd, "IP_TRANSPARENT", SOL_IP, IP_TRANSPARENT);
      else enable(fd, "IPV6_TRANSPARENT", SOL_IPV6, IPV6_TRANSPARENT);
    }
    const address = socketAddress(wanted.family, wanted.address, dnsPort);
    checked("bind", bindSocket(fd, address, address.length));
    if (wanted.transport === "tcp") checked("listen", listen(fd, backlog));
    return fd;
  } catch (cause) {
    close(fd);
    const what = `${wanted.transport} port ${dnsPort} on ${wanted.device} (${wanted.address})`;
    throw new Eg46Error("EG46_DNS_LISTEN", `cannot serve DNS at ${what}: ${whyNotOpened(cause)}`, {
      cause,
    });
  }
}
