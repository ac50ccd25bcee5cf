/** Hostile packets and DNS messages from both sides: counted by name, nothing breaks, the next connection works. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { capture, labAddresses, type Netns } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "tcpdump");
const program = (name: string) => fileURLToPath(new URL(`../support/${name}.js`, import.meta.url));
const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
const perSide = 5_000;

async function macOf(netns: Netns, device: string): Promise<string> {
  return (await netns.run(["cat", `/sys/class/net/${device}/address`])).trim();
}

test(`10,000 random and mutated packets from both sides (TEST_SEED=${seed})`, tools, async (t) => {
  const lab = await gatewayLab(t, { podIpv6: true });
  const { topology } = lab;
  const [pod] = topology.pods;
  const { web, snatPool, gateway } = labAddresses;
  const wire = await capture(topology.internet, "eth0", `net ${pod.net4} or net ${pod.net6}`);
  const fromPod = {
    sources: [pod.ipv4, pod.ipv4, pod.ipv4, "10.99.0.1", "192.0.2.99", pod.ipv6, pod.ipv6, "2001:db8:99::1"],
    destinations: [
      web.v4only,
      "10.244.50.20",
      "10.244.50.21",
      "169.254.9.9",
      web.v6only,
      "::5",
      "2001:db8:1::1",
    ],
  };
  const fromOutside = {
    sources: [web.v4only, "198.51.100.7", web.v6only, "2001:db8:7::7"],
    destinations: [...snatPool.ipv4, ...snatPool.ipv6, ...snatPool.ipv6, gateway.external4],
  };
  for (const [netns, link, aims] of [
    [pod, pod.link, fromPod],
    [topology.internet, topology.external, fromOutside],
  ] as const) {
    const mac = await macOf(topology.gateway, link);
    const argv = [
      process.execPath,
      program("hostile-packets"),
      "eth0",
      mac,
      String(seed),
      String(perSide),
      JSON.stringify(aims),
    ];
    assert.equal((await netns.run(argv, { timeoutMs: 60_000 })).trim(), String(perSide));
  }

  const page = await pod.run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);
  assert.match(page, /Welcome to v6only\.example/, "the next real connection works");
  const drops = await lab.drops();
  t.diagnostic(`drop reasons hit: ${JSON.stringify(drops)}`);
  assert.ok(Object.keys(drops).length >= 15, `only ${Object.keys(drops).join(", ")}`);
  assert.ok(!Object.keys(drops).some((reason) => /other/i.test(reason)));
  // ICMP errors of the kernel towards a claimed source are the kernel's; a leak would carry the Pod's own source.
  const leaks = (await wire.stop()).filter(
    (line) => line.includes(`${pod.ipv4}.`) || line.includes(`${pod.ipv6}.`),
  );
  assert.deepEqual(leaks, []);
  assert.ok(!/EG46_ENGINE|RuntimeError/.test(lab.gateway.stderr()), lab.gateway.stderr());
});

test(`10,000 mutated DNS messages from both sides, UDP and TCP (TEST_SEED=${seed})`, tools, async (t) => {
  const lab = await gatewayLab(t);
  const { topology } = lab;
  const [pod] = topology.pods;
  const hostile = program("hostile-dns");
  const count = 5_000;
  const toResolver = [process.execPath, hostile, labAddresses.resolver, String(seed), String(count)];
  const sent = await pod.run(toResolver, { timeoutMs: 120_000 });
  t.diagnostic(`from the Pod: ${sent.trim()}`);
  // From outside: spoofed answers to the gateway's own sockets.
  const toGateway = [
    process.execPath,
    hostile,
    labAddresses.gateway.external4,
    String(seed + 1),
    String(count),
  ];
  t.diagnostic(`from outside: ${(await topology.internet.run(toGateway, { timeoutMs: 120_000 })).trim()}`);
  const page = await pod.run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);
  assert.match(page, /Welcome to v6only\.example/);
  assert.ok(!/EG46_ENGINE|EG46_INTERNAL|uncaught/i.test(lab.gateway.stderr()), lab.gateway.stderr());
  const children = await topology.gateway.run(["sh", "-c", `cat /proc/${lab.gateway.pid}/task/*/children`]);
  assert.ok(children.trim() !== "", "the gateway process is alive");
});
