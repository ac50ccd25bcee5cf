/** Envoy as the data plane: how soon a mapping is usable, and what many SNAT addresses cost at the start. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import pino from "pino";
import { stringify } from "yaml";
import { clusterResources } from "../../src/envoy/clusters.ts";
import { encodeValue } from "../../src/mappings/codec.ts";
import { openStore } from "../../src/mappings/open.ts";
import { envoyLab, envoyNeeds, startEnvoy } from "../support/envoy.ts";
import { farHost, farInternet, peerPort, startFarHosts } from "../support/envoy-scene.ts";
import { poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

/** Connects to each address that it is told, and says when the far host's banner is there: milliseconds, or an error. */
const prober = `
const { connect } = require("node:net");
require("node:readline").createInterface({ input: process.stdin }).on("line", (host) => {
  const started = performance.now();
  const socket = connect(${peerPort}, host);
  socket.once("data", () => { console.log(performance.now() - started); socket.destroy(); });
  socket.once("error", (error) => console.log(error.code));
  socket.once("end", () => { console.log("closed"); socket.destroy(); });
});
console.log("ready");`;

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

test(
  "a mapping that another process has just stored is usable by the first connection",
  envoyNeeds,
  async (t) => {
    const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
    const [pod] = lab.topology.pods;
    await startFarHosts(lab.topology);
    const store = await openStore({ spec: lab.store, create: false, log: pino({ level: "silent" }) });
    const [program = "", ...args] = pod.inside([process.execPath, "-e", prober]);
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    t.after(async () => {
      child.kill("SIGKILL");
      await store.close();
    });
    const lines = createInterface({ input: child.stdout });
    await once(lines, "line");
    const times: number[] = [];
    for (let n = 1; n <= 50; n++) {
      const nat4 = `10.244.50.${n + 100}`;
      assert.equal(await store.claim(nat4, encodeValue(farHost(n))), true);
      const answered = once(lines, "line");
      child.stdin.write(`${nat4}\n`);
      const [answer] = await answered;
      assert.match(answer, /^[\d.]+$/, `${nat4}: ${answer}`);
      times.push(Number(answer));
    }
    t.diagnostic(
      `ms from stored to banner: median ${median(times).toFixed(1)}, most ${Math.max(...times).toFixed(1)}`,
    );
    assert.ok(median(times) < 200);
  },
);

test("256 SNAT addresses, and one: time to LIVE", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": poolResource }, internet: farInternet });
  await lab.envoy.kill();
  const [one = ""] = labAddresses.snatPool.ipv6;
  const many = Array.from({ length: 256 }, (_, n) => `2001:db8:1ab::${(n + 1).toString(16)}`);
  await lab.gateway.kill();
  const times: Record<number, number[]> = { 1: [], 256: [] };
  for (let round = 0; round < 5; round++)
    for (const pool of [[one], many]) {
      writeFileSync(`${lab.dir}/clusters.yaml`, stringify(clusterResources(pool)));
      const started = performance.now();
      const envoy = await startEnvoy(t, lab.topology.gateway, lab.dir);
      times[pool.length]!.push(performance.now() - started);
      assert.equal(
        (await envoy.admin("/clusters")).match(/^snat_.*::added_via_api::true$/gm)?.length,
        pool.length,
      );
      await envoy.kill();
    }
  const [least, most] = [median(times[1]!), median(times[256]!)];
  t.diagnostic(`LIVE after ${least.toFixed(0)} ms with one address, ${most.toFixed(0)} ms with 256`);
  assert.ok(most - least < 1000);
});
