/** More flows to one destination than a pool address has ports: what all tests of it do. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { eventually, type GatewayLab } from "./gateway-lab.ts";
import { openFlows } from "./raw-flows.ts";
import { labAddresses, type Netns } from "./topology.ts";

const { web, snatPool } = labAddresses;
export const flows = 70_000;
/** Of a SYN without an answer; here of UDP, too. */
export const lifetimeSeconds = 6;
/** 1024 … 65535. */
const ports = 64_512;
export const port = 9999;
export const otherPort = 9998;
/** In the Pod's network, and not the Pod's own: its connections have ports there. */
const sources = ["10.244.1.11", "10.244.1.12"];

export interface Target {
  readonly name: string;
  readonly host: string;
  /** Source address in nft's words, as it must be outside. */
  readonly snat: string;
  readonly seen: (pod: Netns) => Promise<string>;
}
export const targets: readonly Target[] = [
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
const watch = (protocol: "tcp" | "udp", snat: string, host: string) => `
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
    ${snat} ${protocol} dport ${port} ${protocol === "tcp" ? "tcp flags syn / syn,ack" : ""} jump first
    ${snat} return
    counter name foreign drop
  }
  chain first {
    ${protocol} sport @used counter name twice
    add @used { ${protocol} sport } counter name own drop
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

/** Opens all flows while one exists already: each packet went out by a port of its own, or is a counted refusal. */
export async function flood(
  t: TestContext,
  lab: GatewayLab,
  protocol: "tcp" | "udp",
  target: Target,
): Promise<void> {
  const { name, host, snat, seen } = target;
  const { pods, gateway, internet } = lab.topology;
  const address = await seen(pods[0]);
  // What is dropped because the test is faster than its machine would be missing in the sum.
  await gateway.ip(["link set eg46-0 txqueuelen 100000"]);
  const before = (await lab.drops()).SNAT_PORTS_EXHAUSTED ?? 0;
  await internet.run(["nft", "-f", "-"], { input: watch(protocol, snat, host) });
  const started = performance.now();
  const sending = await openFlows(pods[0], protocol, { address, port }, flows, sources);
  let [refused, own] = [0, 0];
  await eventually(`${name}: every packet is counted`, async () => {
    refused = ((await lab.drops()).SNAT_PORTS_EXHAUSTED ?? 0) - before;
    own = (await counted(internet)).own ?? 0;
    return own + refused >= flows;
  });
  const seconds = (performance.now() - started) / 1000;
  const { twice, foreign } = await counted(internet);
  await internet.run(["nft", "delete", "table", "inet", "seen"]);
  t.diagnostic(`${name}: sent in ${sending.toFixed(1)} s: ${own} went out, ${refused} refused`);
  assert.deepEqual({ sum: own + refused, twice, foreign }, { sum: flows, twice: 0, foreign: 0 }, name);
  assert.deepEqual(Object.keys(await lab.drops()), ["SNAT_PORTS_EXHAUSTED"]);
  // Later than that the first ones have expired, and their ports serve once more.
  if (seconds < lifetimeSeconds) assert.equal(own, ports - 1, `${name}: all but that of the existing flow`);
  assert.ok(refused > 0, name);
}
