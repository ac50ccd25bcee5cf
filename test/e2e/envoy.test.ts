/** Envoy as the data plane, seen from a Pod: names, connections, bytes, and what the far host sees. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyLab, envoyNeeds } from "../support/envoy.ts";
import {
  farInternet,
  farNames,
  peerPort,
  resolveA,
  resolveAll,
  startFarHosts,
  talk,
} from "../support/envoy-scene.ts";
import { eventually, poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const { snatPool, web } = labAddresses;

for (const redirect of ["redirect", "tproxy"])
  test(`Envoy as the data plane, --envoy-redirect ${redirect}`, envoyNeeds, async (t) => {
    const lab = await envoyLab(t, {
      resources: { "all.yaml": poolResource },
      internet: farInternet,
      podIpv6: true,
      args: ["--envoy-redirect", redirect],
    });
    const [pod] = lab.topology.pods;
    await startFarHosts(lab.topology);
    const curl = (url: string) => pod.run(["curl", "-sS", "--max-time", "10", url]);
    const source = () => lab.internet.visits.at(-1)?.source;

    await t.test("curl by name: the IPv6-only host sees an address of the pool", async () => {
      assert.match(await curl("http://v6only.example/"), /Welcome to v6only\.example at 2001:db8:46::80\./);
      assert.equal(source(), snatPool.ipv6[0]);
    });

    await t.test("dig over TCP", async () => {
      const answer = await pod.run(["dig", "+tcp", "+short", "v6only.example", "A"]);
      assert.match(answer, /^10\.244\.50\.\d+/);
    });

    await t.test("IPv4 host, IPv6 host: SNAT alone", async () => {
      await curl(`http://${web.v4only}/`);
      assert.equal(source(), snatPool.ipv4[0]);
      await curl(`http://[${web.dual6}]/`);
      assert.equal(source(), snatPool.ipv6[0]);
    });

    await t.test("banner first, half-close, 32 MiB each way, checksummed", async () => {
      const [result] = await talk(pod, 32 << 20, 1, [`${await resolveA(pod, "n0.example")}:${peerPort}`]);
      assert.deepEqual(
        { source: result?.source, intact: result?.intact, error: result?.error },
        { source: snatPool.ipv6[0], intact: true, error: undefined },
      );
    });

    await t.test("500 connections at once to 100 addresses that nobody used before", async () => {
      const addresses = await resolveAll(pod, farNames);
      assert.equal(new Set(addresses).size, 100);
      const hosts = addresses.map((address) => `${address}:${peerPort}`);
      const failed = (await talk(pod, 2000, 500, hosts)).filter(
        (result) => result.intact !== true || result.source !== snatPool.ipv6[0],
      );
      assert.deepEqual(failed, []);
    });

    await t.test("counters are exact, by the gateway's names", async () => {
      const counted = Object.entries(await lab.envoy.counters()).filter(([, value]) => value > 0);
      assert.deepEqual(Object.fromEntries(counted), {
        'egress46_connections_total{virtual_server="egress-ipv4-nat46"}': 502,
        'egress46_connections_total{virtual_server="egress-ipv4"}': 1,
        'egress46_connections_total{virtual_server="egress-ipv6"}': 1,
      });
      await eventually(
        "tmctl shows them",
        async () => (await lab.connections())["egress-ipv4-nat46"] === 502,
      );
    });
  });
