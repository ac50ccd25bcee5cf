/** Mapping, filtering and port blocks by the options of `egress46 run`, on real packets. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { planBlocks } from "../../src/engine/port-blocks.ts";
import { type AssignedBlock, blocksOfPod, podOfPort } from "../../src/gateway/assigned-blocks.ts";
import { poolEntry } from "../support/engine.ts";
import { needs } from "../support/exec.ts";
import { automapResource, gatewayLab, twoListResource } from "../support/gateway-lab.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl");
const { snatPool, web } = labAddresses;

test(
  "port blocks, two workers: 'egress46 blocks' computes what the kernel and the engines did",
  tools,
  async (t) => {
    const count = 6;
    const links = Array.from({ length: count }, (_, index) => index + 1);
    const options = [
      ...["--internal-net", ...links.map((link) => `10.244.${link}.0/28`)],
      ...links.map((link) => `fd00:10:244:${link}::/123`),
      ...["--port-block", "128", "--workers", "2"],
    ];
    const lab = await gatewayLab(t, {
      ...{ pods: count, podIpv6: true, args: options },
      resources: { "all.yaml": twoListResource },
    });
    const blocks = async (query: string) => {
      const text = await lab.command("blocks", query, "-f", lab.resources, ...options, "-o", "json");
      return (JSON.parse(text) as { blocks: AssignedBlock[] }).blocks;
    };
    const plans = [0, 1].map((worker) =>
      planBlocks(
        128,
        [...links.map((link) => `10.244.${link}.0/28`), ...links.map((link) => `fd00:10:244:${link}::/123`)],
        [snatPool.ipv6[worker]!, snatPool.ipv4[worker]!].map((address) => poolEntry(address)),
      ),
    );
    const workers = new Set<number>();
    for (const pod of lab.topology.pods)
      for (const [address, url] of [
        [pod.ipv4, `http://${web.v4only}/`],
        [pod.ipv6, `http://[${web.dual6}]/`],
      ] as const) {
        assert.match(await pod.run(["curl", "-sS", "--max-time", "10", url]), /Welcome/);
        const { source, sourcePort } = lab.internet.visits.at(-1)!;
        const had = blocksOfPod(plans, address).find((block) => block.address === source);
        assert.ok(had !== undefined, `${address} left from ${source}`);
        assert.ok(sourcePort >= had.firstPort && sourcePort <= had.lastPort, `${address}: ${sourcePort}`);
        assert.deepEqual(podOfPort(plans, source, sourcePort), [had]);
        workers.add(had.worker);
      }
    const last = lab.internet.visits.at(-1)!;
    const [had] = blocksOfPod(plans, lab.topology.pods.at(-1)!.ipv6).filter(
      ({ address }) => address === last.source,
    );
    assert.deepEqual(await blocks(`[${last.source}]:${last.sourcePort}`), [had]);
    assert.equal(workers.size, 2, "both workers have Pods");
  },
);

const server = `
  const { createSocket } = require("node:dgram");
  const known = createSocket("udp4"), stranger = createSocket("udp4");
  stranger.bind(7777, "${web.dual4}");
  known.on("message", (_, { address, port }) => stranger.send("knock", port, address));
  known.bind(9999, "${web.v4only}", () => console.log("listening"));
`;
const client = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (message, { address, port }) => { console.log(String(message), address, port); socket.close(); });
  socket.bind(5000, () => socket.send("hello", 9999, "${web.v4only}"));
  setTimeout(() => { console.log("nothing came"); process.exit(); }, 1000).unref();
`;

for (const [args, expected] of [
  [[], "nothing came"],
  [["--eif", "udp"], `knock ${web.dual4} 7777`],
] as const)
  test(
    `a datagram from a host that the Pod hasn't sent to, ${args.join(" ") || "by default"}: ${expected}`,
    tools,
    async (t) => {
      const lab = await gatewayLab(t, { resources: { "egress.yaml": automapResource }, args });
      const { internet, pods } = lab.topology;
      const [command = "", ...rest] = internet.inside([process.execPath, "-e", server]);
      const child = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
      lab.topology.cleanup.defer(() => child.kill("SIGKILL"));
      await once(child.stdout, "data", { signal: AbortSignal.timeout(10_000) });
      assert.equal((await pods[0].run([process.execPath, "-e", client])).trim(), expected);
    },
  );
