/** Envoy as the data plane when something is refused, changed, killed or started anew. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Envoy, envoyLab, envoyNeeds, startEnvoy } from "../support/envoy.ts";
import {
  farHost,
  farInternet,
  hold,
  peerPort,
  resolveA,
  startFarHosts,
  talk,
} from "../support/envoy-scene.ts";
import { eventually, poolResource } from "../support/gateway-lab.ts";
import { makeCertificates } from "../support/redis.ts";
import type { PeerResult } from "../support/tcp-peer.ts";
import { labAddresses } from "../support/topology.ts";

const { snatPool } = labAddresses;
const sorry = "10.244.40.100";
const drops = async (envoy: Envoy, reason: string) =>
  (await envoy.counters())[`egress46_drops_total{reason="${reason}"}`];

test("refusals are closed without a byte, counted and logged, and not remembered", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, {
    resources: { "all.yaml": poolResource.replace("dualStackEnabled: true", "dualStackEnabled: false") },
    internet: farInternet,
    podIpv6: true,
    args: ["--sorry-page", `${sorry}:80`],
    async store({ gateway, folder }) {
      await gateway.ip([`addr add ${sorry}/32 dev lo`]);
      return { url: `lmdb:${folder}/mappings` };
    },
  });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const one = async (host: string, bytes = 10) => (await talk(pod, bytes, 1, [host]))[0]!;
  const unmapped = `10.244.50.77:${peerPort}`;

  await t.test("no mapping", async () => {
    const { received, error, ms } = await one(unmapped);
    assert.equal(received, 0);
    assert.ok(error !== undefined && ms < 5000, `${error} after ${ms} ms`);
    await eventually("one refusal is counted", async () => (await drops(lab.envoy, "MAPPING_UNKNOWN")) === 1);
    assert.match(lab.envoy.log(), /refused 10\.244\.1\.10:\d+ to 10\.244\.50\.77:7000: MAPPING_UNKNOWN/);
  });

  await t.test("a mapping made right after it", async () => {
    await lab.command("mappings", "add", "10.244.50.77", farHost(7), "--store", lab.store);
    const started = performance.now();
    let tries = 0;
    await eventually("it is reached", async () => (await one(unmapped)).intact === true || tries++ > 100);
    t.diagnostic(`usable after ${Math.round(performance.now() - started)} ms, ${tries} refusals`);
  });

  await t.test("made by hand outside the subnet", async () => {
    await lab.command("mappings", "add", "10.144.175.220", farHost(8), "--store", lab.store);
    await eventually(
      "it is reached",
      async () => (await one(`10.144.175.220:${peerPort}`)).source === snatPool.ipv6[0],
    );
  });

  await t.test("deleted", async () => {
    await lab.command("mappings", "rm", "10.244.50.77", "--store", lab.store);
    await eventually("it is refused", async () => (await one(unmapped)).error !== undefined);
  });

  await t.test("IPv6 while dualStackEnabled is false", async () => {
    const { received, error } = await one(`[${farHost(1)}]:${peerPort}`);
    assert.ok(received === 0 && error !== undefined);
    await eventually("it is counted", async () => (await drops(lab.envoy, "DUAL_STACK_DISABLED")) === 1);
  });

  await t.test("ping and UDP, to hosts and to a NAT address: none is forwarded", async () => {
    const guarded = async () => {
      const text = await lab.topology.gateway.run(["nft", "list", "counter", "inet", "egress46", "guard"]);
      return Number(/packets (\d+)/.exec(text)?.[1]);
    };
    const before = await guarded();
    const { v4only, dual6 } = labAddresses.web;
    const udp = [v4only, dual6, "10.244.50.9"].map((host) => `echo x > /dev/udp/${host}/5000`);
    const pings = [v4only, dual6, "10.244.50.9"].map((host) => `! ping -c 1 -W 1 ${host} > /dev/null`);
    await pod.run(["bash", "-c", ["set -e", ...udp, ...pings].join("\n")]);
    assert.equal((await guarded()) - before, 6);
  });

  await t.test("the sorry page, which this host serves", async () => {
    const page = await pod.run(["curl", "-sS", "-i", "--max-time", "5", `http://${sorry}/any`]);
    assert.match(page, /^HTTP\/1\.1 503 [\s\S]*No address free/);
  });

  await t.test("ports exhausted", async () => {
    await lab.topology.gateway.sysctl({ "ipv4/ip_local_port_range": '"30000 30003"' });
    const host = `${await resolveA(pod, "n9.example")}:${peerPort}`;
    const held = await Promise.all(Array.from({ length: 4 }, () => hold(pod, 10, host)));
    const { received, error } = await one(host);
    assert.ok(received === 0 && error !== undefined);
    // The admin interface's own connections need ports, too.
    await lab.topology.gateway.sysctl({ "ipv4/ip_local_port_range": '"32768 60999"' });
    await eventually("it is counted", async () => (await drops(lab.envoy, "SNAT_PORTS_EXHAUSTED")) === 1);
    assert.match(lab.envoy.log(), /refused .* SNAT_PORTS_EXHAUSTED/);
    for (const each of held) assert.equal((await each.finish()).intact, true);
  });
});

/** Of the SNAT pool's network. */
const manyNet = "2001::1ab:1:1:";

const failedOf = (results: readonly PeerResult[]) =>
  results.filter(({ intact, source }) => intact !== true || source !== snatPool.ipv6[0]);

/** COUNT connections that are reset after a random time below 200 ms. */
const impatient = `
const [, host, port, count] = process.argv;
for (let n = 0; n < Number(count); n++) {
  const socket = require("node:net").connect(Number(port), host);
  socket.on("error", () => {});
  setTimeout(() => socket.resetAndDestroy(), Math.random() * 200);
}`;

test("the gateway dies and comes back; Envoy is started anew", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const known = `${await resolveA(pod, "n1.example")}:${peerPort}`;
  const [first] = await talk(pod, 10, 1, [known]);
  assert.equal(first?.intact, true);
  const open = await hold(pod, 1 << 20, known);

  await t.test("dead: known mappings open, unknown ones are refused within 5 s", async () => {
    await lab.gateway.kill();
    const results = await talk(pod, 1000, 20, [known]);
    assert.deepEqual(failedOf(results), []);
    const [refused] = await talk(pod, 10, 1, [`10.244.50.99:${peerPort}`]);
    assert.ok(
      refused?.received === 0 && refused.error !== undefined && refused.ms < 5000,
      `${refused?.ms} ms`,
    );
    await eventually("it is counted", async () => (await drops(lab.envoy, "MAPPING_TIMEOUT")) === 1);
    // Clients that give up while they wait.
    await pod.run([process.execPath, "-e", impatient, "10.244.50.98", `${peerPort}`, "300"]);
    const [again] = await talk(pod, 10, 1, [known]);
    assert.equal(again?.intact, true);
    assert.match(lab.envoy.log(), /no feed from the gateway: .*; known mappings go on/);
  });

  await t.test("back: new names", async () => {
    await lab.restart();
    const [result] = await talk(pod, 10, 1, [`${await resolveA(pod, "n2.example")}:${peerPort}`]);
    assert.equal(result?.intact, true);
    await eventually("the feed is there", async () =>
      lab.envoy.log().includes("the feed of the gateway is there"),
    );
  });

  await t.test("the connection that was open all the time is whole", async () => {
    assert.equal((await open.finish()).intact, true);
  });

  await t.test("hot restart: a connection goes on in the old one, new ones work at once", async () => {
    const old = await hold(pod, 1 << 20, known);
    const hot = ["--restart-epoch", "1", "--drain-time-s", "1", "--parent-shutdown-time-s", "20"];
    const next = await startEnvoy(t, lab.topology.gateway, lab.dir, hot, lab.envoy.baseId);
    try {
      const results = await talk(pod, 10, 50, [known]);
      assert.deepEqual(failedOf(results), []);
      const { intact, error } = await old.finish();
      assert.deepEqual({ intact, error }, { intact: true, error: undefined });
    } finally {
      await next.kill();
    }
  });

  await t.test("another Envoy: its first connection works, and none leaves as it is", async () => {
    await lab.envoy.kill();
    const between = await talk(pod, 10, 3, [known]);
    assert.ok(between.every(({ received }) => received === 0));
    await startEnvoy(t, lab.topology.gateway, lab.dir);
    const results = await talk(pod, 10, 50, [known]);
    assert.deepEqual(failedOf(results), []);
  });
});

test("the CRs change under connections; the feed is by mutual TLS", envoyNeeds, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "egress46-feed-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { ca, server } = await makeCertificates(folder);
  const tls = { cert: server.cert, key: server.key, ca };
  const lab = await envoyLab(t, {
    resources: { "all.yaml": poolResource },
    internet: farInternet,
    args: Object.entries(tls).flatMap(([name, file]) => [`--envoy-feed-${name}`, file]),
  });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const known = `${await resolveA(pod, "n1.example")}:${peerPort}`;
  const open = await hold(pod, 1 << 20, known);
  const change = (text: string) => writeFileSync(`${lab.resources}/all.yaml`, text);
  const [pool0 = "", pool1 = ""] = snatPool.ipv6;

  /** A new authority and what it signed, in the places of those before. */
  const replaceCertificates = async () => {
    const next = `${folder}/next`;
    mkdirSync(next);
    const fresh = await makeCertificates(next);
    renameSync(fresh.ca, tls.ca);
    renameSync(fresh.server.key, tls.key);
    renameSync(fresh.server.cert, tls.cert);
    rmSync(next, { recursive: true });
  };

  await t.test("another pool: new connections have it, none fails meanwhile", async () => {
    change(poolResource.replace(pool0, pool1));
    const started = performance.now();
    await eventually("the far host sees it", async () => {
      const [result] = await talk(pod, 10, 1, [known]);
      assert.equal(result?.intact, true);
      return result?.source === pool1;
    });
    t.diagnostic(`in force after ${Math.round(performance.now() - started)} ms`);
  });

  await t.test(
    "256 addresses at once: each has its cluster before a connection is to leave from it",
    async () => {
      const many = Array.from({ length: 256 }, (_, n) => `${manyNet}${(n + 1).toString(16)}`);
      change(poolResource.replace(`"${pool0}"`, many.map((address) => `"${address}"`).join(", ")));
      let refused = 0;
      await eventually("the far host sees one of them", async () => {
        const results = await talk(pod, 10, 20, [known]);
        refused += results.filter(({ intact }) => intact !== true).length;
        return results.every(({ source }) => source?.startsWith(manyNet));
      });
      assert.equal(refused, 0);
      change(poolResource.replace(pool0, pool1));
      await eventually("it is back", async () => (await talk(pod, 10, 1, [known]))[0]?.source === pool1);
    },
  );

  await t.test("another subnet: new addresses, and the old ones go on", async () => {
    change(poolResource.replace(pool0, pool1).replace("10.244.50.0/24", "10.244.60.0/24"));
    let nat4 = "";
    await eventually("it is answered with", async () => {
      nat4 = await resolveA(pod, "n3.example");
      return nat4.startsWith("10.244.60.");
    });
    const results = await talk(pod, 10, 2, [`${nat4}:${peerPort}`, known]);
    assert.ok(results.every(({ intact }) => intact === true));
  });

  await t.test("the connection from the address that left the pool is whole", async () => {
    const { intact, source } = await open.finish();
    assert.deepEqual({ intact, source }, { intact: true, source: pool0 });
  });

  await t.test("other certificates: Envoy shows them to a gateway that is started anew", async () => {
    await replaceCertificates();
    await lab.gateway.kill();
    await lab.restart();
    const host = `${await resolveA(pod, "n4.example")}:${peerPort}`;
    await eventually(
      "its mapping is there",
      async () => (await talk(pod, 10, 1, [host]))[0]?.intact === true,
    );
  });

  await t.test("and again: the gateway shows them to an Envoy that is started anew", async () => {
    await replaceCertificates();
    await lab.envoy.kill();
    await eventually("a connection goes through", async () => {
      const next = await startEnvoy(t, lab.topology.gateway, lab.dir);
      const [result] = await talk(pod, 10, 1, [known]);
      await next.kill();
      return result?.intact === true;
    });
  });
});
