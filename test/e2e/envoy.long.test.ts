/** Envoy as the data plane with large numbers: bytes, mappings, SNAT addresses, connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { startAgent } from "../../bench/path/agent.ts";
import type { Connected } from "../../bench/path/agents/protocol.ts";
import { ipv4ToNumber, numberToIpv4 } from "../../src/addresses.ts";
import { encodeValue } from "../../src/mappings/codec.ts";
import { openStore } from "../../src/mappings/open.ts";
import { envoyLab, envoyNeeds, residentBytes, startEnvoy } from "../support/envoy.ts";
import { farHost, farInternet, peerPort, resolveA, startFarHosts, talk } from "../support/envoy-scene.ts";
import { eventually, poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const { snatPool } = labAddresses;
const mappings = 60_000;
const first = ipv4ToNumber("10.128.0.0");
const wide = poolResource.replace("10.244.50.0/24", "10.128.0.0/16");

test("1 GiB each way, checksummed", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const [result] = await talk(pod, 2 ** 30, 1, [`${await resolveA(pod, "n0.example")}:${peerPort}`]);
  assert.deepEqual([result?.intact, result?.source], [true, snatPool.ipv6[0]]);
});

test("60,000 mappings are in every worker within half a second of LIVE", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, {
    resources: { "all.yaml": wide },
    internet: farInternet,
    async store({ folder }) {
      const url = `lmdb:${folder}/mappings`;
      const store = await openStore({ spec: url, create: true, log: pino({ level: "silent" }) });
      for (let n = 1; n <= mappings; n += 500)
        await Promise.all(
          Array.from({ length: 500 }, (_, k) =>
            store.claim(numberToIpv4(first + n + k), encodeValue(farHost(n + k))),
          ),
        );
      await store.close();
      return { url };
    },
  });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  await lab.envoy.kill();
  const envoy = await startEnvoy(t, lab.topology.gateway, lab.dir);
  await sleep(500);
  // From here on nobody can be asked.
  await lab.gateway.kill();
  const some = Array.from({ length: 300 }, (_, n) => `${numberToIpv4(first + 1 + n * 199)}:${peerPort}`);
  const results = await talk(pod, 10, 300, some);
  assert.equal(results.filter(({ intact }) => intact === true).length, 300, envoy.log());
});

const million = 1_000_000;
const clients = 4;

test("memory stays flat over 1,000,000 connections", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
  const { gateway, internet, pods } = lab.topology;
  const [pod] = pods;
  await startFarHosts(lab.topology);
  const host = await resolveA(pod, "n0.example");
  const everyPort = { "ipv4/tcp_max_tw_buckets": 0, "ipv4/ip_local_port_range": '"16384 65535"' };
  for (const each of [gateway, pod]) await each.sysctl(everyPort);
  // Or the host's table of connections would be full long before.
  await gateway.sysctl({ "netfilter/nf_conntrack_tcp_timeout_time_wait": 1 });
  const server = await startAgent(internet, "accept", [`${peerPort + 1}`]);
  t.after(() => server.end());
  const args = [host, `${peerPort + 1}`, "--rate", "10000", "--seconds", "10"];
  const agents = await Promise.all(Array.from({ length: clients }, () => startAgent(pod, "connect", args)));
  t.after(() => Promise.all(agents.map((agent) => agent.end())));
  const connections = async () => {
    const each = await Promise.all(agents.map((agent) => agent.ask<Connected>(60)));
    assert.equal(
      each.reduce((sum, { failures }) => sum + failures, 0),
      0,
    );
    return each.reduce((sum, round) => sum + round.connections, 0);
  };
  const first = await connections();
  const before = residentBytes(lab.envoy.pid);
  const started = performance.now();
  let [done, next] = [0, 100_000];
  const grown = () => residentBytes(lab.envoy.pid) - before;
  const state = () =>
    `${done} connections in ${((performance.now() - started) / 1000).toFixed(0)} s: ${(grown() / 2 ** 20).toFixed(1)} MiB more than ${(before / 2 ** 20).toFixed(1)}`;
  while (done < million) {
    done += await connections();
    if (done < next) continue;
    next += 100_000;
    console.error(`# ${state()}`);
  }
  t.diagnostic(state());
  assert.ok(grown() < 8 * 2 ** 20, state());
  await eventually("they are counted, each once", async () => {
    const counters = await lab.envoy.counters();
    return counters['egress46_connections_total{virtual_server="egress-ipv4-nat46"}'] === first + done;
  });
});
