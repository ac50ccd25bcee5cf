/** NAT64 through the real kernel: a Pod with IPv6 and hosts with IPv4 only. What ICMP does to it is in icmp.test.ts. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { startProbe, uploadBytes, uploadData } from "../support/icmp-probe.ts";
import { fetchPage, labAddresses } from "../support/topology.ts";
import { askEcho, serveEcho } from "../support/udp-echo.ts";

const tools = needs("root", "tun", "ip", "nft", "ping");
const { web, snatPool, gateway } = labAddresses;

const egress = (prefix: string, pool: string) => `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  dualStackEnabled: false
  nat64Enabled: true
  nat64Ipv6Subnet: ${prefix}
  egressSnatpool: "${pool}"
`;
const pool = `
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: pool, namespace: spk-ingress }
spec:
  name: pool
  addressList: [["${snatPool.ipv4[0]}"]]
`;

for (const { name, seen, resources, source } of [
  {
    name: "SNAT pool, prefix of 96 bits",
    seen: "2001:db8:64::c633:6451",
    resources: { "egress.yaml": egress("2001:db8:64::/96", "pool"), "pool.yaml": pool },
    source: snatPool.ipv4[0],
  },
  {
    name: "automap, prefix of 48 bits",
    seen: "2001:db8:64:c633:64:5100::",
    resources: { "egress.yaml": egress("2001:db8:64::/48", "") },
    source: gateway.external4,
  },
])
  test(`NAT64, ${name}`, tools, async (t) => {
    const lab = await gatewayLab(t, { podIpv6: true, resources });
    const { internet, pods, cleanup } = lab.topology;
    const [pod] = pods;

    await t.test("a page of an IPv4-only host", async () => {
      const { status, server } = await fetchPage(pod, `http://[${seen}]/`);
      assert.deepEqual([status, server], [200, seen]);
      assert.equal(lab.internet.visits.at(-1)?.source, source);
    });

    await t.test("1 MB by TCP arrives whole", async () => {
      const sink = startProbe(internet, "sink", web.v4only, 4648);
      cleanup.defer(() => sink.child.kill());
      await sink.line();
      const upload = startProbe(pod, "upload", seen, 4648);
      assert.equal(await upload.line(), "open");
      upload.child.stdin?.write("go\n");
      const digest = createHash("sha256").update(uploadData()).digest("hex");
      assert.equal(await upload.line(), `${uploadBytes} ${digest}`);
    });

    for (const size of [1, 1400, 8192])
      await t.test(`datagrams of ${size} bytes there and back`, async () => {
        await serveEcho(internet, cleanup, web.v4only, 7000 + size);
        assert.equal(await askEcho(pod, seen, 7000 + size, size, 10), 10);
      });

    await t.test("ping", async () => {
      const { stdout } = await pod.execute(["ping", "-c", "3", "-i", "0.2", "-W", "2", seen]);
      assert.match(stdout, /3 received/);
    });

    await t.test("counted as egress-ipv6-nat64; other IPv6 is refused", async () => {
      assert.deepEqual(await lab.drops(), {});
      // A page, an upload, three UDP flows, a ping.
      assert.equal((await lab.connections())["egress-ipv6-nat64"], 6);
      const native = await pod.execute(["ping", "-c", "1", "-W", "1", web.v6only]);
      assert.notEqual(native.code, 0);
      assert.deepEqual(await lab.drops(), { DUAL_STACK_DISABLED: 1 });
    });
  });
