/** Envoy as the data plane with large numbers: bytes, mappings, SNAT addresses, connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { ipv4ToNumber, numberToIpv4 } from "../../src/addresses.ts";
import { encodeValue } from "../../src/mappings/codec.ts";
import { openStore } from "../../src/mappings/open.ts";
import { envoyLab, envoyNeeds, residentBytes, startEnvoy } from "../support/envoy.ts";
import { farHost, farInternet, peerPort, resolveA, startFarHosts, talk } from "../support/envoy-scene.ts";
import { poolResource } from "../support/gateway-lab.ts";
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

test("memory stays flat over many connections", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const host = `${await resolveA(pod, "n0.example")}:${peerPort}`;
  await lab.topology.gateway.sysctl({ "ipv4/tcp_max_tw_buckets": 0 });
  await pod.sysctl({ "ipv4/tcp_max_tw_buckets": 0 });
  const round = () => talk(pod, 10, 500, [host]);
  for (let n = 0; n < 4; n++) await round();
  const before = residentBytes(lab.envoy.pid);
  for (let n = 0; n < 100; n++) assert.ok((await round()).every(({ intact }) => intact === true));
  const grown = residentBytes(lab.envoy.pid) - before;
  t.diagnostic(`50,000 connections: ${(grown / 2 ** 20).toFixed(1)} MiB more`);
  assert.ok(grown < 8 * 2 ** 20, `${grown} bytes`);
});
