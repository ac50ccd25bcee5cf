/** ICMP errors of real kernels, seen from a Pod and from a far host: refusals, hops, path MTU. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type TestContext, test } from "node:test";
import { createNetns } from "../../src/lab/netns.ts";
import { needs } from "../support/exec.ts";
import { automapResource, type GatewayLab, gatewayLab } from "../support/gateway-lab.ts";
import { startProbe, uploadBytes, uploadData } from "../support/icmp-probe.ts";
import { labAddresses, type Netns } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "dig", "ping", "traceroute");
const { web, internet: router, natSubnet, dns } = labAddresses;
const closedPort = 4646;

interface FarLab extends GatewayLab {
  /** The hosts v6only and v4only, behind the internet's router. */
  readonly far: Netns;
  /** Of the link to them, both ends. */
  setMtu(mtu: number): Promise<void>;
}

const nat64 = `  nat64Enabled: true
  nat64Ipv6Subnet: 2001:db8:64::/96
`;
const automapDns46 = `${automapResource.trimEnd()}
${nat64}  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: [${dns.join(", ")}]
`;

async function farLab(t: TestContext, automap: boolean): Promise<FarLab> {
  const lab = await gatewayLab(t, {
    podIpv6: true,
    ...(automap ? { resources: { "egress.yaml": automapDns46 } } : { resources: poolResources }),
  });
  const { internet, gateway, cleanup } = lab.topology;
  const far = createNetns(internet.name.replace("internet", "far"), cleanup);
  // These tests count errors: none may be held back.
  const unlimited = { "ipv4/icmp_ratelimit": 0, "ipv6/icmp/ratelimit": 0 };
  const forwarding = { "ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1 };
  await internet.sysctl({ ...unlimited, ...forwarding });
  await far.sysctl({ ...unlimited, "ipv6/conf/all/accept_dad": 0, "ipv6/conf/default/accept_dad": 0 });
  await gateway.sysctl(unlimited);
  await internet.ip([
    `link add far type veth peer name eth0 netns ${far.name}`,
    "addr add 203.0.113.1/24 dev far",
    "addr add 2001:db8:fa::1/64 dev far nodad",
    "link set far up",
    `addr del ${web.v6only} dev lo`,
    `addr del ${web.v4only} dev lo`,
  ]);
  await far.ip([
    "link set lo up",
    "link set eth0 up",
    "addr add 203.0.113.2/24 dev eth0",
    "addr add 2001:db8:fa::2/64 dev eth0 nodad",
    `addr add ${web.v6only} dev lo nodad`,
    `addr add ${web.v4only} dev lo`,
    "route add default via 203.0.113.1",
    "route add default via 2001:db8:fa::1",
  ]);
  await internet.ip([
    `route add ${web.v6only} via 2001:db8:fa::2`,
    `route add ${web.v4only} via 203.0.113.2`,
  ]);
  return {
    ...lab,
    far,
    async setMtu(mtu) {
      await internet.ip([`link set far mtu ${mtu}`]);
      await far.ip([`link set eth0 mtu ${mtu}`]);
    },
  };
}

const poolResources = {
  "egress.yaml": `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: egress-crd, namespace: spk-ingress }
spec:
  dualStackEnabled: true
  egressSnatpool: egress_snatpool
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: [${dns.join(", ")}]
${nat64}`,
  "pool.yaml": `
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: egress-snatpool, namespace: spk-ingress }
spec:
  name: egress_snatpool
  addressList: [["${labAddresses.snatPool.ipv6[0]}", "${labAddresses.snatPool.ipv4[0]}"]]
`,
};

/** What the Pod dials, the address of that host in its own world, the MTU that the Pod must learn. */
interface Target {
  readonly name: string;
  readonly seen: (pod: Netns) => Promise<string>;
  readonly host: string;
  readonly mtuOf: (link: number) => number;
  /** Routers on the way, as the Pod sees them, behind the gateway. */
  readonly hop: string;
}
const targets: readonly Target[] = [
  {
    name: "4→6",
    seen: async (pod) => (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0] ?? "",
    host: web.v6only,
    mtuOf: (link) => link - 20,
    hop: "192.0.0.8",
  },
  { name: "4→4", seen: async () => web.v4only, host: web.v4only, mtuOf: (link) => link, hop: router.router4 },
  {
    name: "6→4",
    seen: async () => "2001:db8:64::c633:6451",
    host: web.v4only,
    mtuOf: (link) => link + 20,
    hop: "2001:db8:64::af4:2802",
  },
  { name: "6→6", seen: async () => web.v6only, host: web.v6only, mtuOf: (link) => link, hop: router.router6 },
];

for (const automap of [false, true])
  test(`ICMP errors${automap ? ", automap" : ", SNAT pool"}`, tools, async (t) => {
    const lab = await farLab(t, automap);
    const [pod] = lab.topology.pods;
    const { far } = lab;
    for (const { name, seen, host, mtuOf, hop } of targets) {
      const address = await seen(pod);

      for (const size of [1, 8000])
        await t.test(`${name}: UDP of ${size} bytes to a closed port is refused`, async () => {
          assert.equal(await startProbe(pod, "refused", address, closedPort, size).line(), "ECONNREFUSED");
        });

      await t.test(`${name}: a far host learns that the Pod's port is closed`, async () => {
        const server = startProbe(far, "rebuff", host, 4647);
        await server.line();
        // One packet, and the socket is gone.
        const family = address.includes(":") ? 6 : 4;
        const send = `const s = require("node:dgram").createSocket("udp${family}"); s.send("!", 4647, "${address}", () => s.close())`;
        await pod.run([process.execPath, "-e", send]);
        assert.equal(await server.line(), "ECONNREFUSED");
      });

      // Port 53 would be a question for the gateway.
      for (const method of ["-p 33434", `-U -p ${closedPort}`, `-T -p ${closedPort}`, "-I"])
        await t.test(`${name}: traceroute ${method} shows every hop`, async () => {
          const output = await pod.run([
            "traceroute",
            "-n",
            "-w",
            "2",
            "-q",
            "2",
            ...method.split(" "),
            address,
          ]);
          const hops = output.trim().split("\n").slice(1);
          assert.ok(!output.includes("*"), output);
          assert.ok(hops.at(-1)?.includes(address), output);
          assert.ok(hops.at(-2)?.includes(hop), output);
        });

      await t.test(`${name}: the Pod learns the path MTU`, async () => {
        await lab.setMtu(1400);
        const size = mtuOf(1400) - (address.includes(":") ? 48 : 28);
        const ping = (bytes: number) =>
          pod.execute([
            "ping",
            "-n",
            "-c",
            "2",
            "-i",
            "0.2",
            "-W",
            "1",
            "-M",
            "do",
            "-s",
            `${bytes}`,
            address,
          ]);
        const tooLarge = await ping(size + 8);
        assert.match(tooLarge.stdout, new RegExp(`mtu[ =]+${mtuOf(1400)}\\b`, "i"), tooLarge.stderr);
        const route = await pod.run(["ip", "route", "get", address]);
        assert.match(route, new RegExp(`mtu ${mtuOf(1400)}\\b`));
        const fits = await ping(size);
        assert.match(fits.stdout, /2 received/);
        await lab.setMtu(1500);
        await pod.run(["ip", address.includes(":") ? "-6" : "-4", "route", "flush", "cache"]);
      });

      await t.test(`${name}: a TCP connection survives a link that becomes smaller`, async () => {
        const sink = startProbe(far, "sink", host, 4648);
        t.after(() => sink.child.kill());
        await sink.line();
        const upload = startProbe(pod, "upload", address, 4648);
        assert.equal(await upload.line(), "open");
        await lab.setMtu(1300);
        upload.child.stdin?.write("go\n");
        const digest = createHash("sha256").update(uploadData()).digest("hex");
        assert.equal(await upload.line(), `${uploadBytes} ${digest}`);
        assert.match(await pod.run(["ip", "route", "get", address]), new RegExp(`mtu ${mtuOf(1300)}\\b`));
        await lab.setMtu(1500);
        await pod.run(["ip", address.includes(":") ? "-6" : "-4", "route", "flush", "cache"]);
        sink.child.kill();
      });
    }
    const drops = Object.keys(await lab.drops());
    assert.deepEqual(
      drops.filter((reason) => reason.startsWith("ICMP_")),
      [],
    );
  });
