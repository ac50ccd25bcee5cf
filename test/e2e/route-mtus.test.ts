/** A route of the gateway's host gets an MTU while traffic flows. Under automap the kernel's own errors reach nobody. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { automapResource, eventually, gatewayLab } from "../support/gateway-lab.ts";
import { startProbe, uploadBytes, uploadData } from "../support/icmp-probe.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "ping");
const { web, internet: router, natSubnet, dns } = labAddresses;
const resource = `${automapResource.trimEnd()}
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: [${dns.join(", ")}]
`;

test("an MTU on a route counts at once, both families, and no longer when it is gone", tools, async (t) => {
  const lab = await gatewayLab(t, { podIpv6: true, resources: { "egress.yaml": resource } });
  const { gateway, internet, pods } = lab.topology;
  const [pod] = pods;
  const nat = (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "";
  const ways = [
    {
      name: "4→6",
      address: nat,
      host: web.v6only,
      route: `${web.v6only}/128 via ${router.router6}`,
      told: 1380,
    },
    {
      name: "4→4",
      address: web.v4only,
      host: web.v4only,
      route: `${web.v4only} via ${router.router4}`,
      told: 1400,
    },
    {
      name: "6→6",
      address: web.v6only,
      host: web.v6only,
      route: `${web.v6only}/128 via ${router.router6}`,
      told: 1400,
    },
  ];
  /** Size of the packet. */
  const ping = (address: string, size: number) =>
    pod.execute([
      ...["ping", "-n", "-c", "1", "-W", "0.2", "-M", "do"],
      ...["-s", `${size - (address.includes(":") ? 48 : 28)}`, address],
    ]);
  /** Packets that the kernel found too big for a route. */
  async function refusedByKernel(): Promise<string> {
    const six = await gateway.run(["sh", "-c", "grep TooBig /proc/net/snmp6 | grep -v Icmp"]);
    const four = await gateway.run(["nstat", "-asz", "IpFragFails"]);
    return `${six}${four}`;
  }

  for (const { name, address, host, route, told } of ways)
    await t.test(name, async () => {
      const largest = name === "4→6" ? 1480 : 1500;
      assert.match((await ping(address, largest)).stdout, /1 received/);
      await gateway.ip([`route replace ${route} mtu 1500`]);
      const sink = startProbe(internet, "sink", host, 4648);
      t.after(() => sink.child.kill());
      await sink.line();
      const upload = startProbe(pod, "upload", address, 4648);
      assert.equal(await upload.line(), "open");

      await gateway.ip([`route change ${route} mtu 1400`]);
      const changed = performance.now();
      await eventually("the Pod is told of the route's MTU", async () =>
        new RegExp(`mtu[ =]+${told}\\b`, "i").test((await ping(address, largest)).stdout),
      );
      t.diagnostic(`${name}: told after ${Math.round(performance.now() - changed)} ms`);
      const before = await refusedByKernel();
      assert.match(await pod.run(["ip", "route", "get", address]), new RegExp(`mtu ${told}\\b`));
      assert.match((await ping(address, told)).stdout, /1 received/);

      upload.child.stdin?.write("go\n");
      const digest = createHash("sha256").update(uploadData()).digest("hex");
      assert.equal(await upload.line(), `${uploadBytes} ${digest}`);
      assert.equal(await refusedByKernel(), before, "nothing left for the kernel to refuse");
      sink.child.kill();

      await gateway.ip([`route del ${route}`]);
      await pod.run(["ip", address.includes(":") ? "-6" : "-4", "route", "flush", "cache"]);
      await eventually("the whole size passes again", async () => {
        await pod.run(["ip", address.includes(":") ? "-6" : "-4", "route", "flush", "cache"]);
        return (await ping(address, largest)).stdout.includes("1 received");
      });
    });
});
