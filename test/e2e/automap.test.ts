/** Which of the host's addresses automap takes, and what is said where it finds none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { automapResource } from "../support/gateway-lab.ts";
import {
  buildTopology,
  egress46,
  gatewayCommand,
  labAddresses,
  startGateway,
  startInternet,
  writeResources,
} from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl");
const { gateway: self, internet: router, web } = labAddresses;

test("an address on the Pods' side comes first on the interface: automap skips it", tools, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test" });
  t.after(() => topology.close());
  const internet = await startInternet(topology);
  const [pod] = topology.pods;
  await topology.gateway.ip([
    "addr flush dev external",
    "addr add 10.50.0.1/24 dev external",
    `addr add ${self.external4}/24 dev external`,
    `route add default via ${router.router4}`,
  ]);
  const nets = [pod.net4, "10.50.0.0/24"].flatMap((net) => ["--internal-net", net]);
  const files = [writeResources(topology, { "egress.yaml": automapResource })];
  const store = `lmdb:${topology.folder}/mappings`;
  await startGateway(topology, gatewayCommand(topology, { files, store, args: nets }));
  await pod.run(["curl", "-sS", "--max-time", "5", `http://${web.v4only}/`]);
  assert.equal(internet.visits.at(-1)?.source, self.external4);
  const status = await topology.gateway.run([...egress46, "status"]);
  assert.match(status, /^notes +automap: no IPv6 address on external: what would leave as IPv6 is dropped$/m);
});
