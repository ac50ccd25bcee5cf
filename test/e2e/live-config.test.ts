/** Files change while the gateway runs: what is concerned changes, everything else goes on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { execute, needs } from "../support/exec.ts";
import { eventually, gatewayLab } from "../support/gateway-lab.ts";
import {
  buildTopology,
  egress46,
  gatewayCommand,
  labAddresses,
  type Netns,
  startGateway,
  startInternet,
  writeResources,
} from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig");
const { web, snatPool, natSubnet, dns } = labAddresses;

const pool = (...addresses: readonly string[]) => `
apiVersion: k8s.f5net.com/v1
kind: F5SPKSnatpool
metadata: { name: egress-snatpool, namespace: spk-ingress }
spec:
  name: egress_snatpool
  addressList: [[${addresses.map((address) => JSON.stringify(address)).join(", ")}]]
`;
const egress = (more: string, name = "egress-crd") => `
apiVersion: k8s.f5net.com/v1
kind: F5SPKEgress
metadata: { name: ${name}, namespace: spk-ingress }
spec:
  egressSnatpool: egress_snatpool
${more}`;
const dns46 = `
  dnsNat46Enabled: true
  dnsNat46Ipv4Subnet: ${natSubnet}
  dnsNat46PoolIps: [${dns.join(", ")}]
`;

/** A TCP connection that sends a byte every 50 ms and counts what comes back, for as long as it is let. */
function longConnection(pod: Netns, address: string, port: number) {
  const script = `
    const s = require("node:net").connect(${port}, "${address}", () => setInterval(() => s.write("x"), 50));
    s.on("data", (d) => process.stdout.write(d)); s.on("error", (e) => { console.error(e.code); process.exit(1); });`;
  const [program = "", ...args] = pod.inside([process.execPath, "-e", script]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  return { bytes: () => bytes, alive: () => child.exitCode === null, end: () => child.kill("SIGKILL") };
}

function echoServer(internet: Netns, address: string, port: number) {
  const script = `require("node:net").createServer((s) => { s.on("error", () => {}); s.pipe(s); }).listen(${port}, "${address}")`;
  const [program = "", ...args] = internet.inside([process.execPath, "-e", script]);
  return spawn(program, args, { stdio: "ignore" });
}

test("a change of the pool concerns nobody whose address stays", tools, async (t) => {
  const lab = await gatewayLab(t, {
    pods: 2,
    resources: {
      "egress.yaml": egress(dns46),
      "pool.yaml": pool(...snatPool.ipv6, snatPool.ipv4[0]!),
    },
  });
  const { topology, internet } = lab;
  const echo = echoServer(topology.internet, web.v6only, 7);
  topology.cleanup.defer(() => echo.kill());
  const fetchBy = async (name: string) => {
    const results = topology.pods.map((pod) =>
      pod.run(["curl", "-sS", "--max-time", "5", `http://${name}/`]),
    );
    await Promise.all(results);
    return internet.visits.slice(-topology.pods.length).map(({ source }) => source);
  };
  await fetchBy("v6only.example");
  const nat4 = (await topology.pods[0].run(["dig", "+short", "v6only.example"])).split("\n")[0] ?? "";
  const connections = topology.pods.map((pod) => longConnection(pod, nat4, 7));
  for (const connection of connections) topology.cleanup.defer(connection.end);
  await eventually("both connections carry data", async () => connections.every(({ bytes }) => bytes() > 5));

  // The pool grows, an unrelated field changes: nobody notices.
  writeFileSync(join(lab.resources, "pool.yaml"), pool(...snatPool.ipv6, ...snatPool.ipv4));
  writeFileSync(join(lab.resources, "egress.yaml"), egress(`${dns46}  maxDNS46TTL: 77\n`));
  await eventually(
    "the TTL is in force",
    async () =>
      /\s77\s+IN\s+A\s/.test(await topology.pods[0].run(["dig", "+noall", "+answer", "manual.example"])) ||
      /\s60\s+IN\s+A\s/.test(await topology.pods[0].run(["dig", "+noall", "+answer", "manual.example"])),
  );
  await eventually(
    "the address is applied",
    async () => /snat/i.test(lab.gateway.stderr()) && lab.gateway.stderr().includes(snatPool.ipv4[1]!),
  );
  const before = connections.map(({ bytes }) => bytes());
  await sleep(500);
  connections.forEach(({ bytes, alive }, index) => {
    assert.ok(alive() && bytes() > before[index]! + 3, `connection ${index} goes on`);
  });
});

test(
  "a pool that isn't there yet holds the egress back; it starts when the pool arrives",
  tools,
  async (t) => {
    const topology = await buildTopology({ prefix: "eg46test" });
    t.after(() => topology.close());
    await startInternet(topology);
    const folder = writeResources(topology, { "egress.yaml": egress(dns46) });
    const ready = startGateway(
      topology,
      gatewayCommand(topology, { files: [folder], store: `lmdb:${topology.folder}/mappings` }),
    );
    ready.catch(() => {});
    const status = async () =>
      (await execute(topology.gateway.inside([...egress46, "status", "-o", "json"]))).stdout;
    await eventually("the state says what is missing", async () => {
      const text = await status();
      return text.includes("waiting") && text.includes("egress_snatpool");
    });
    const health = await topology.gateway.execute([
      "curl",
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "127.0.0.1:9046/healthz",
    ]);
    assert.equal(health.stdout, "503");
    const refused = await execute(
      topology.pods[0].inside(["curl", "-sS", "--max-time", "1", `http://${web.v4only}/`]),
    );
    assert.notEqual(refused.code, 0);

    writeFileSync(join(topology.folder, "pool.tmp"), pool(...snatPool.ipv6, ...snatPool.ipv4));
    renameSync(join(topology.folder, "pool.tmp"), join(folder, "pool.yaml"));
    const gateway = await ready;
    assert.match(gateway.readyLine, /^egress46 ready .*snat=pool:egress_snatpool/);
    const page = await topology.pods[0].run(["curl", "-sS", "--max-time", "10", "http://v6only.example/"]);
    assert.match(page, /Welcome to v6only/);

    await t.test("two F5SPKEgress: the older stays in force, the other is named", async () => {
      writeFileSync(join(folder, "second.yaml"), egress("  dualStackEnabled: true\n", "second"));
      await eventually("the note", async () => /second.*not in force/.test(await status()));
      assert.match(await status(), /spk-ingress\/egress-crd/);
      rmSync(join(folder, "second.yaml"));
    });

    await t.test(
      "a broken file: named with line and field, the last good configuration stays in force",
      async () => {
        writeFileSync(join(folder, "egress.yaml"), egress(dns46.replace(natSubnet, "10.244.50")));
        await eventually("the problem", async () =>
          /egress\.yaml:\d+: spec\.dnsNat46Ipv4Subnet: /.test(await status()),
        );
        const still = await topology.pods[0].run([
          "curl",
          "-sS",
          "--max-time",
          "10",
          "http://v6only.example/",
        ]);
        assert.match(still, /Welcome to v6only/);
        writeFileSync(join(folder, "egress.yaml"), egress(dns46));
        await eventually("it is mended", async () => JSON.parse(await status()).state === "active");
      },
    );

    await t.test("dnsNat46Enabled off: port 53 is plain traffic", async () => {
      writeFileSync(join(folder, "egress.yaml"), egress(""));
      const dig = ["dig", "+short", "+tries=1", "+time=1", "v6only.example", "A"];
      await eventually(
        "nobody answers for 1.2.3.4",
        async () => (await topology.pods[0].execute(dig)).code !== 0,
      );
      const direct = ["dig", "+short", "+tries=1", "+time=3", `@${dns[0]}`, "v4only.example", "A"];
      assert.equal((await topology.pods[0].run(direct)).trim(), web.v4only);
      writeFileSync(join(folder, "egress.yaml"), egress(dns46));
      await eventually("DNS46 again", async () =>
        /^10\.244\.50\./.test((await topology.pods[0].execute(dig)).stdout),
      );
    });
  },
);

test("the first configuration is broken: a precise error, exit 1, nothing left behind", tools, async (t) => {
  const topology = await buildTopology({ prefix: "eg46test" });
  t.after(() => topology.close());
  const folder = writeResources(topology, { "egress.yaml": egress("  dnsNat46Enabled: perhaps\n") });
  const argv = gatewayCommand(topology, { files: [folder], store: `lmdb:${topology.folder}/mappings` });
  const { code, stderr } = await topology.gateway.execute(argv);
  assert.equal(code, 1);
  assert.match(stderr, /EG46_CONFIG_INVALID/);
  assert.match(stderr, /egress\.yaml:\d+: spec\.dnsNat46Enabled: /);
  assert.ok(!(await topology.gateway.run(["nft", "list", "ruleset"])).includes("egress46"));
});

test(
  "a configuration that can't be applied and is taken back: its answers are gone from the caches",
  tools,
  async (t) => {
    const lab = await gatewayLab(t, {
      resources: { "egress.yaml": egress(dns46), "pool.yaml": pool(...snatPool.ipv6, snatPool.ipv4[0]!) },
    });
    const { topology } = lab;
    // An address of the gateway's whose port 53 another process has: from now on no plan can be carried out.
    const taken = "10.99.99.1";
    await topology.gateway.ip([`addr add ${taken}/32 dev lo`]);
    const script = `require("node:dgram").createSocket("udp4").bind(53, "${taken}", () => console.log("bound"))`;
    const [program = "", ...argv] = topology.gateway.inside([process.execPath, "-e", script]);
    const other = spawn(program, argv, { stdio: ["ignore", "pipe", "inherit"] });
    topology.cleanup.defer(() => other.kill("SIGKILL"));
    await once(other.stdout, "data");
    await topology.gateway.ip([`addr add ${taken}/32 dev internal0`]);
    await eventually("nothing can be applied", async () => lab.gateway.stderr().includes("cannot serve DNS"));

    const answeredOutOf = (subnet: string) =>
      eventually(`answers out of ${subnet}`, async () => {
        // A cookie would lead around the caches.
        const answer = await topology.pods[0].run(["dig", "+short", "+nocookie", "v6only.example"]);
        return answer.startsWith(subnet.replace(/\d+\/24$/, ""));
      });
    const other46 = "10.245.50.0/24";
    writeFileSync(join(lab.resources, "egress.yaml"), egress(dns46.replace(natSubnet, other46)));
    await answeredOutOf(other46);
    writeFileSync(join(lab.resources, "egress.yaml"), egress(dns46));
    await answeredOutOf(natSubnet);
    assert.ok(!lab.gateway.stderr().includes("could not be applied before, is applied"));
  },
);
