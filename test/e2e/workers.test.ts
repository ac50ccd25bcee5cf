/** Two workers: a TUN, an engine and a list of the pool each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionsBody } from "../../src/admin/api.ts";
import { needs } from "../support/exec.ts";
import { automapResource, gatewayLab, poolResource, twoListResource } from "../support/gateway-lab.ts";
import { startProbe } from "../support/icmp-probe.ts";
import { labAddresses } from "../support/topology.ts";
import { askEcho, serveEcho } from "../support/udp-echo.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "ping");
const { snatPool, web } = labAddresses;

test("pool lists: every Pod keeps its worker's address; the table is the sum", tools, async (t) => {
  const lab = await gatewayLab(t, {
    pods: 6,
    resources: { "all.yaml": twoListResource },
    args: ["--workers", "2"],
  });
  const used = new Set<string>();
  for (const pod of lab.topology.pods) {
    const before = lab.internet.visits.length;
    for (const name of ["v6only.example", "v4only.example", "v6only.example"])
      assert.match(await pod.run(["curl", "-sS", "--max-time", "10", `http://${name}/`]), /Welcome/);
    const sources = lab.internet.visits.slice(before).map(({ source }) => source);
    const six = snatPool.ipv6.indexOf(sources[0] as never);
    const four = snatPool.ipv4.indexOf(sources[1] as never);
    assert.ok(six >= 0 && six === four, `Pod ${pod.ipv4}: ${sources}`);
    assert.equal(sources[2], sources[0], "paired pooling");
    used.add(String(six));
  }
  assert.equal(used.size, 2, "both workers have Pods");
  const table = await lab.connections();
  assert.equal(table["egress-ipv4-nat46"], 12);
  assert.equal(table["egress-ipv4"], 6);
});

const shared = poolResource.replace(
  "name: egress_snatpool",
  "name: egress_snatpool\n  sharedSnatAddressEnabled: true",
);

test("one shared address: Pods of both workers have it, each worker its ports", tools, async (t) => {
  const lab = await gatewayLab(t, {
    ...{ pods: 4, podIpv6: true, resources: { "all.yaml": shared }, args: ["--workers", "2"] },
  });
  const { internet, cleanup, pods } = lab.topology;
  for (const address of [web.v6only, web.v4only]) await serveEcho(internet, cleanup, address, 7007);
  const workers = new Set<number | undefined>();
  for (const pod of pods) {
    const before = lab.internet.visits.length;
    const nat = (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "";
    for (const address of [nat, web.v4only, web.v6only]) {
      const name = `Pod ${pod.ipv4} to ${address}`;
      const url = `http://${address.includes(":") ? `[${address}]` : address}/`;
      assert.match(await pod.run(["curl", "-sS", "--max-time", "10", url]), /Welcome/, name);
      // The larger ones come in pieces, of which only the first has ports.
      for (const size of [100, 8192])
        assert.equal(await askEcho(pod, address, 7007, size, 5), 5, `${name} ${size}`);
      assert.equal((await pod.execute(["ping", "-c", "1", "-W", "2", address])).code, 0, `${name}: ping`);
      const refusal = await startProbe(pod, "refused", address, 4646).line();
      assert.equal(refusal, "ECONNREFUSED", name);
    }
    const visits = lab.internet.visits.slice(before);
    assert.deepEqual(
      visits.map(({ source }) => source),
      [snatPool.ipv6[0], snatPool.ipv4[0], snatPool.ipv6[0]],
    );
    const [first, second, third] = visits.map(({ sourcePort }) => Math.floor((sourcePort - 1024) / 32256));
    assert.equal(first, second, `IPv4 of Pod ${pod.ipv4} stays on its worker`);
    workers.add(first).add(third);
  }
  assert.deepEqual([...workers].sort(), [0, 1], "both workers have Pods");
  assert.deepEqual(await lab.drops(), {});
});

test(
  "one shared address, --eif icmp: a ping from outside finds the Pod of its identifier",
  tools,
  async (t) => {
    const lab = await gatewayLab(t, {
      ...{ pods: 4, podIpv6: true, resources: { "all.yaml": shared } },
      args: ["--workers", "2", "--eif", "icmp"],
    });
    for (const pod of lab.topology.pods)
      for (const address of [web.v4only, web.v6only])
        assert.equal((await pod.execute(["ping", "-c", "1", "-W", "2", address])).code, 0);
    const { sessions } = JSON.parse(await lab.command("sessions", "-o", "json")) as SessionsBody;
    const toOwnFamily = sessions.filter(({ pod, snat }) => pod.includes(":") === snat.includes(":"));
    assert.equal(
      new Set(toOwnFamily.map(({ worker, snat }) => `${worker} ${snat}`)).size,
      4,
      "all four parts",
    );
    for (const { snat, snatPort, pod } of toOwnFamily) {
      const ping = await lab.topology.internet.execute([
        "ping",
        "-e",
        `${snatPort}`,
        "-c",
        "1",
        "-W",
        "2",
        snat,
      ]);
      assert.equal(ping.code, 0, `${snat} identifier ${snatPort} of ${pod}: ${ping.stdout}`);
    }
  },
);

test("automap: each worker has its slice of the ports", tools, async (t) => {
  const lab = await gatewayLab(t, {
    pods: 6,
    resources: { "egress.yaml": automapResource },
    args: ["--workers", "2"],
  });
  for (const pod of lab.topology.pods)
    assert.match(await pod.run(["curl", "-sS", "--max-time", "10", `http://${web.v4only}/`]), /Welcome/);
  const ports = lab.internet.visits.map(({ sourcePort }) => sourcePort);
  const [low, high] = [Math.min(...ports), Math.max(...ports)];
  assert.ok(low >= 16384 && high < 65536);
  assert.equal((await lab.connections())["egress-ipv4"], 6);
});
