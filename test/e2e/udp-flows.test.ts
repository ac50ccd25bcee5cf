/** Thousands of UDP flows at a time, each with its own port outside: every answer finds the socket that asked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { checksumErrors } from "../support/kernel-counters.ts";
import { labAddresses } from "../support/topology.ts";
import { serveEcho } from "../support/udp-echo.ts";
import { askByFlows } from "../support/udp-flows.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "nstat");
const { web } = labAddresses;
const flows = 3000;
const rounds = 3;

test(`UDP echo through ${flows} parallel flows, ${rounds} datagrams each`, tools, async (t) => {
  const lab = await gatewayLab(t);
  const { pods, gateway, internet, cleanup } = lab.topology;
  const [pod] = pods;
  const targets = [
    {
      name: "4→6",
      host: web.v6only,
      seen: (await pod.run(["dig", "+short", "v6only.example"])).split("\n")[0] ?? "",
      server: "egress-ipv4-nat46",
    },
    { name: "4→4", host: web.v4only, seen: web.v4only, server: "egress-ipv4" },
  ];
  for (const { name, host, seen, server } of targets) {
    await serveEcho(internet, cleanup, host, 7007);
    const before = (await lab.connections())[server] ?? 0;
    const { answered, foreign, repeated } = await askByFlows(pod, seen, 7007, flows, rounds);
    assert.deepEqual({ answered, foreign }, { answered: flows * rounds, foreign: 0 }, name);
    t.diagnostic(`${name}: ${repeated} sent again`);
    assert.equal((await lab.connections())[server], before + flows, `${name}: a session for each flow`);
  }
  assert.deepEqual(await checksumErrors(pod, gateway, internet), []);
  assert.deepEqual(await lab.drops(), {});
});
