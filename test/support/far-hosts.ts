import { createNetns, type Netns } from "../../src/lab/netns.ts";
import { labAddresses, type Topology } from "./topology.ts";

/**
 * Moves the hosts v6only and v4only behind two routers: internet ── (`mtu`) ── border ── (9000) ── hosts. Neither end of
 * a connection has the smallest link, so that only ICMP errors tell of it. → the hosts' namespace.
 */
export async function moveHostsBehind({ internet, cleanup }: Topology, mtu: number): Promise<Netns> {
  const { web } = labAddresses;
  const quiet = { "ipv6/conf/all/accept_dad": 0, "ipv6/conf/default/accept_dad": 0 };
  const forwarding = { "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 };
  const [border, hosts] = ["border", "hosts"].map((name) =>
    createNetns(internet.name.replace("internet", name), cleanup),
  ) as [Netns, Netns];
  await internet.sysctl(forwarding);
  await border.sysctl({ ...quiet, ...forwarding });
  await hosts.sysctl(quiet);
  await internet.ip([
    `link add border mtu ${mtu} type veth peer name internet mtu ${mtu} netns ${border.name}`,
    "addr add 203.0.113.1/30 dev border",
    "addr add 2001:db8:fa::1/64 dev border nodad",
    "link set border up",
    `addr del ${web.v6only} dev lo`,
    `addr del ${web.v4only} dev lo`,
  ]);
  await border.ip([
    "link set lo up",
    "link set internet up",
    "addr add 203.0.113.2/30 dev internet",
    "addr add 2001:db8:fa::2/64 dev internet nodad",
    `link add hosts mtu 9000 type veth peer name eth0 mtu 9000 netns ${hosts.name}`,
    "link set hosts up",
    "addr add 203.0.113.5/30 dev hosts",
    "addr add 2001:db8:fb::1/64 dev hosts nodad",
    "route add default via 203.0.113.1",
    "route add default via 2001:db8:fa::1",
    `route add ${web.v4only} via 203.0.113.6`,
    `route add ${web.v6only} via 2001:db8:fb::2`,
  ]);
  await hosts.ip([
    "link set lo up",
    "link set eth0 up",
    "addr add 203.0.113.6/30 dev eth0",
    "addr add 2001:db8:fb::2/64 dev eth0 nodad",
    `addr add ${web.v6only} dev lo nodad`,
    `addr add ${web.v4only} dev lo`,
    "route add default via 203.0.113.5",
    "route add default via 2001:db8:fb::1",
  ]);
  await internet.ip([
    `route add ${web.v4only} via 203.0.113.2`,
    `route add ${web.v6only} via 2001:db8:fa::2`,
    "route add 203.0.113.4/30 via 203.0.113.2",
    "route add 2001:db8:fb::/64 via 2001:db8:fa::2",
  ]);
  return hosts;
}
