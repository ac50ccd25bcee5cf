/** Envoy as the data plane, seen from a Pod: names, connections, bytes, and what the far host sees. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { envoyLab, envoyNeeds } from "../support/envoy.ts";
import { poolResource } from "../support/gateway-lab.ts";
import { type PeerResult, peerProgram } from "../support/tcp-peer.ts";
import { labAddresses, labServers, labZone, type Topology } from "../support/topology.ts";

const names = Array.from({ length: 100 }, (_, n) => `n${n}.example`);
const farNet = "2001:db8:47::";
const zone = {
  ...labZone,
  names: {
    ...labZone.names,
    ...Object.fromEntries(
      names.map((name, n) => [name, { ttl: 60, records: { AAAA: [`${farNet}${(n + 1).toString(16)}`] } }]),
    ),
  },
};
const internet = { web: labServers, dns: labAddresses.dns.map((address) => ({ address, zone })) };

export async function startPeer(topology: Topology, port = 7000): Promise<void> {
  await topology.internet.ip([`route add local ${farNet}/64 dev lo`]);
  const [program = "", ...args] = topology.internet.inside([
    process.execPath,
    peerProgram,
    "serve",
    String(port),
  ]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  topology.cleanup.defer(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
}

test("Envoy as the data plane", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet, podIpv6: true });
  const [pod] = lab.topology.pods;
  await startPeer(lab.topology);
  const pool6 = labAddresses.snatPool.ipv6[0];
  const pool4 = labAddresses.snatPool.ipv4[0];
  const resolve = async (name: string) =>
    (await pod.run(["dig", "+short", "+tries=1", "+time=3", name, "A"])).trim().split("\n")[0]!;
  const talk = async (bytes: number, count: number, ...hosts: string[]) =>
    JSON.parse(
      await pod.run([process.execPath, peerProgram, "connect", String(bytes), String(count), ...hosts], {
        timeoutMs: 60_000,
      }),
    ) as PeerResult[];

  await t.test("curl by name: the IPv6-only host sees an address of the pool", async () => {
    const page = await pod.run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);
    assert.match(page, /Welcome to v6only\.example at 2001:db8:46::80\./);
    assert.equal(lab.internet.visits.at(-1)?.source, pool6);
  });

  await t.test("dig over TCP", async () => {
    const answer = await pod.run(["dig", "+tcp", "+short", "v6only.example", "A"]);
    assert.match(answer, /^10\.244\.50\.\d+/);
  });

  await t.test("IPv4 host, IPv6 host: SNAT alone", async () => {
    await pod.run(["curl", "-sS", "--max-time", "10", `http://${labAddresses.web.v4only}/`]);
    assert.equal(lab.internet.visits.at(-1)?.source, pool4);
    await pod.run(["curl", "-sS", "--max-time", "10", `http://[${labAddresses.web.dual6}]/`]);
    assert.equal(lab.internet.visits.at(-1)?.source, pool6);
  });

  await t.test("banner first, half-close, 32 MiB each way, checksummed", async () => {
    const [result] = await talk(32 << 20, 1, `${await resolve("n0.example")}:7000`);
    assert.deepEqual(
      { source: result?.source, intact: result?.intact, error: result?.error },
      { source: pool6, intact: true, error: undefined },
    );
  });

  await t.test("500 connections at once to 100 addresses that nobody used before", async () => {
    const addresses = await Promise.all(names.map(resolve));
    assert.equal(new Set(addresses).size, 100);
    const results = await talk(2000, 500, ...addresses.map((address) => `${address}:7000`));
    assert.deepEqual(
      results.filter(({ intact, source }) => intact !== true || source !== pool6),
      [],
    );
  });

  await t.test("counters are exact, by the gateway's names", async () => {
    const counted = Object.entries(await lab.envoy.counters()).filter(([, value]) => value > 0);
    assert.deepEqual(Object.fromEntries(counted), {
      'egress46_connections_total{virtual_server="egress-ipv4-nat46"}': 502,
      'egress46_connections_total{virtual_server="egress-ipv4"}': 1,
      'egress46_connections_total{virtual_server="egress-ipv6"}': 1,
    });
  });
});
