/** The list of test/unit/filter/scenarios.test.ts in the real Envoy: what the far host sees, what Envoy counts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyLab, envoyNeeds } from "../support/envoy.ts";
import { farInternet, startFarHosts, talk } from "../support/envoy-scene.ts";
import { deletedMapping, endpoint, scenarioMappings, scenarios } from "../support/filter-scenarios.ts";
import { automapResource, eventually, poolResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

test("what becomes of a connection, in Envoy", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, {
    resources: { "all.yaml": poolResource },
    internet: farInternet,
    podIpv6: true,
  });
  const [pod] = lab.topology.pods;
  await startFarHosts(lab.topology);
  const mappings = (...args: string[]) => lab.command("mappings", ...args, "--store", lab.store);
  for (const [nat4, host6] of Object.entries(scenarioMappings)) await mappings("add", nat4, host6);
  await mappings("add", ...deletedMapping);
  await mappings("rm", deletedMapping[0]);
  await eventually("all are known", async () => {
    const results = await talk(
      pod,
      1,
      3,
      Object.keys(scenarioMappings).map((nat4) => endpoint(nat4)),
    );
    return results.every(({ intact }) => intact === true);
  });

  for (const { name, to, expect, hostOnly = false } of scenarios)
    if (!hostOnly)
      await t.test(name, async () => {
        const counter =
          "reason" in expect
            ? `egress46_drops_total{reason="${expect.reason}"}`
            : `egress46_connections_total{virtual_server="${expect.server}"}`;
        const before = (await lab.envoy.counters())[counter] ?? 0;
        const [result] = await talk(pod, 10, 1, [endpoint(to)]);
        if ("reason" in expect) assert.equal(result?.received, 0);
        else assert.equal(result?.source?.replace("::ffff:", ""), expect.snat);
        await eventually("it is counted once", async () => {
          return (await lab.envoy.counters())[counter] === before + 1;
        });
      });
});

test("automap: the gateway's own addresses, of both families", envoyNeeds, async (t) => {
  const lab = await envoyLab(t, { resources: { "all.yaml": automapResource }, podIpv6: true });
  const [pod] = lab.topology.pods;
  const { web, gateway } = labAddresses;
  await pod.run(["curl", "-sS", "--max-time", "10", `http://${web.v4only}/`]);
  await pod.run(["curl", "-sS", "--max-time", "10", `http://[${web.v6only}]/`]);
  const sources = lab.internet.visits.map(({ source }) => source);
  assert.deepEqual(sources, [gateway.external4, gateway.external6]);
  await eventually("tmctl shows them", async () => {
    const { "egress-ipv4": four, "egress-ipv6": six } = await lab.connections();
    return four === 1 && six === 1;
  });
});
