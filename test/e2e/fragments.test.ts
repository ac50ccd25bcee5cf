/** Packets in pieces through the real kernel, both ways. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { automapResource, type GatewayLab, gatewayLab } from "../support/gateway-lab.ts";
import { checksumErrors } from "../support/kernel-counters.ts";
import { capture, labAddresses, type Netns } from "../support/topology.ts";
import { askEcho, serveEcho } from "../support/udp-echo.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "ping", "tcpdump", "nstat");
const { web, gateway } = labAddresses;
const size = 8192;
const count = 20;

async function natAddress(pod: Netns): Promise<string> {
  return (await pod.run(["dig", "+short", "v6only.example"])).split("\n")[0] ?? "";
}

const labErrors = ({ topology }: GatewayLab) =>
  checksumErrors(topology.pods[0], topology.gateway, topology.internet);

for (const [internalMtu, externalMtu] of [
  [1500, 1500],
  [1500, 1280],
  [9000, 1500],
] as const)
  test(
    `datagrams of 8 KB to an IPv6-only host and back, MTU ${internalMtu} inside, ${externalMtu} outside`,
    tools,
    async (t) => {
      const lab = await gatewayLab(t, { internalMtu, externalMtu });
      const { topology } = lab;
      await serveEcho(topology.internet, topology.cleanup, web.v6only, 7007);
      const nat4 = await natAddress(topology.pods[0]);
      const wire = await capture(topology.gateway, topology.external, "ip6[6] == 44");
      assert.equal(await askEcho(topology.pods[0], nat4, 7007, size, count), count);
      const lines = await wire.stop();
      const out = lines.filter((line) => line.includes(`> ${web.v6only}`));
      const back = lines.filter((line) => line.includes(`${web.v6only} >`));
      // tcpdump tells offset and length of the data: 1232 bytes fill 1280.
      const lengths = out.map((line) => Number(/frag \(\d+\|(\d+)\)/.exec(line)?.[1]));
      assert.ok(out.length > count && back.length > count, `${out.length} out, ${back.length} back`);
      assert.ok(
        lengths.every((length) => length > 0 && length <= 1232),
        `lengths ${new Set(lengths)}`,
      );
      assert.deepEqual(await labErrors(lab), []);
      const { PACKET_TOO_BIG: tooBig = 0, ...others } = await lab.drops();
      assert.deepEqual(others, {});
      assert.ok(internalMtu > externalMtu ? tooBig <= 1 : tooBig === 0, `${tooBig} too big`);
    },
  );

const ping = (pod: Netns, address: string) =>
  pod.execute(["ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", "3000", address]);

test("ping with 3000 bytes: within IPv4 yes, between IP versions counted", tools, async (t) => {
  const lab = await gatewayLab(t);
  const [pod] = lab.topology.pods;
  assert.equal((await ping(pod, web.v4only)).code, 0);
  assert.deepEqual(await lab.drops(), {});
  assert.notEqual((await ping(pod, await natAddress(pod))).code, 0);
  assert.deepEqual(await lab.drops(), { FRAGMENT_UNSUPPORTED: 9 });
});

test(
  "automap: fragments to the host's address find their session, or the host's own socket",
  tools,
  async (t) => {
    const lab = await gatewayLab(t, { podIpv6: true, resources: { "egress.yaml": automapResource } });
    const { topology } = lab;
    const { internet, cleanup } = topology;
    for (const address of [web.v4only, web.v6only]) {
      await serveEcho(internet, cleanup, address, 7007);
      assert.equal(await askEcho(topology.pods[0], address, 7007, size, count), count, address);
      assert.equal((await ping(topology.pods[0], address)).code, 0, `ping ${address}`);
    }
    // Below the range of ports that Pods get, and in it.
    for (const address of [gateway.external4, gateway.external6])
      for (const port of [700, 40_000]) {
        await serveEcho(topology.gateway, cleanup, address, port);
        assert.equal(await askEcho(internet, address, port, size, count), count, `${address} ${port}`);
      }
    for (const address of [gateway.external4, gateway.external6])
      assert.equal((await ping(internet, address)).code, 0, `the host answers a ping to ${address}`);
    assert.deepEqual(await lab.drops(), {});
    assert.deepEqual(await labErrors(lab), []);
  },
);
