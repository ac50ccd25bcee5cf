/** More flows to one destination than a pool address has ports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab } from "../support/gateway-lab.ts";
import { startProbe, uploadBytes } from "../support/icmp-probe.ts";
import { openFlows } from "../support/raw-flows.ts";
import { labAddresses, type Netns } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig");
const { web, natSubnet, dns, snatPool } = labAddresses;
const flows = 70_000;
/** 1024 … 65535. */
const ports = 64_512;
const port = 9999;
const otherPort = 9998;
/** In the Pod's network, and not the Pod's own: its connections have ports there. */
const sources = ["10.244.1.11", "10.244.1.12"];

const resources = `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  egressSnatpool: egress_snatpool
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: [${dns.join(", ")}]
---
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: pool, namespace: spk-ingress }
spec:
  name: egress_snatpool
  addressList: [["${snatPool.ipv6[0]}", "${snatPool.ipv4[0]}"]]
`;

interface Target {
  readonly name: string;
  readonly host: string;
  /** Source address in nft's words, as it must be outside. */
  readonly snat: string;
  readonly seen: (pod: Netns) => Promise<string>;
}
const targets: readonly Target[] = [
  {
    name: "4→6",
    host: web.v6only,
    snat: `ip6 saddr ${snatPool.ipv6[0]}`,
    seen: async (pod) => (await pod.run(["dig", "+short", "v6only.example"])).split("\n")[0] ?? "",
  },
  { name: "4→4", host: web.v4only, snat: `ip saddr ${snatPool.ipv4[0]}`, seen: async () => web.v4only },
];

/**
 * Nobody answers a first packet to `port`. Counted outside: those from the pool's address, those from a port of it that
 * had one before, and whatever comes to the host from any other address.
 */
const watch = (snat: string, host: string) => `
table inet seen {
  counter own {}
  counter twice {}
  counter foreign {}
  set used { type inet_service; size 65536; flags dynamic; }
  chain in {
    type filter hook prerouting priority raw;
    ${host.includes(":") ? "ip6" : "ip"} daddr ${host} jump host
  }
  chain host {
    ${snat} tcp dport ${port} tcp flags syn / syn,ack jump first
    ${snat} return
    counter name foreign drop
  }
  chain first {
    tcp sport @used counter name twice
    add @used { tcp sport } counter name own drop
  }
}
`;

async function counted(internet: Netns): Promise<Record<string, number>> {
  const { nftables } = JSON.parse(await internet.run(["nft", "-j", "list", "counters"])) as {
    nftables: { counter?: { name: string; packets: number } }[];
  };
  return Object.fromEntries(
    nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])),
  );
}

test(`${flows} TCP flows to one destination by one pool address`, tools, async (t) => {
  const lab = await gatewayLab(t, { resources: { "all.yaml": resources } });
  const { gateway, internet } = lab.topology;
  const [pod] = lab.topology.pods;
  // What is dropped because the test is faster than its machine would be missing in the sum.
  await gateway.ip(["link set eg46-0 txqueuelen 100000"]);
  for (const { name, host, snat, seen } of targets) {
    const address = await seen(pod);
    for (const each of [port, otherPort]) await startProbe(internet, "sink", host, each).line();
    const existing = startProbe(pod, "upload", address, port);
    assert.equal(await existing.line(), "open");

    const before = (await lab.drops()).SNAT_PORTS_EXHAUSTED ?? 0;
    await internet.run(["nft", "-f", "-"], { input: watch(snat, host) });
    const seconds = await openFlows(pod, "tcp", { address, port }, flows, sources);
    const { SNAT_PORTS_EXHAUSTED: all = 0, ...others } = await lab.drops();
    const refused = all - before;
    const { own = 0, twice, foreign } = await counted(internet);
    await internet.run(["nft", "delete", "table", "inet", "seen"]);
    t.diagnostic(`${name}: sent in ${seconds.toFixed(1)} s: ${own} went out, ${refused} refused`);
    assert.deepEqual(others, {});
    assert.deepEqual({ sum: own + refused, twice, foreign }, { sum: flows, twice: 0, foreign: 0 }, name);
    // After 6 s the first ones have expired, and ports are free again.
    if (seconds < 5) assert.equal(own, ports - 1, `${name}: every port but that of the existing flow`);

    existing.child.stdin?.write("go\n");
    assert.match(await existing.line(), new RegExp(`^${uploadBytes} `), `${name}: the existing flow goes on`);
    const elsewhere = startProbe(pod, "upload", address, otherPort);
    assert.equal(await elsewhere.line(), "open", `${name}: other destinations have ports`);
  }
  for (const { name, seen } of targets)
    await eventually(`${name}: a port is free again`, async () => connects(pod, await seen(pod)), 20_000);
});

async function connects(pod: Netns, address: string): Promise<boolean> {
  const script = `const socket = require("node:net").connect(${port}, "${address}");
    socket.setTimeout(900, () => process.exit(1)).on("error", () => process.exit(1)).on("connect", () => process.exit(0));`;
  return (await pod.execute([process.execPath, "-e", script])).code === 0;
}
