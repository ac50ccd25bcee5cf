/** Leases, journal and sorry page of a real gateway without privileges: its sessions, its folders, its port 80. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { eventually, gatewayLab } from "../support/gateway-lab.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { yamlOf } from "../support/resources.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "redis-server", "redis-cli");
const sorry = "10.244.40.77";
/** One address and one second, so that everything happens soon. */
const egress = yamlOf("F5SPKEgress", {
  dnsNat46Enabled: true,
  dnsNat46Ipv4Subnet: "10.244.50.0/32",
  dnsNat46PoolIps: ["10.244.40.252"],
  dnsNat46SorryIp: sorry,
  maxDNS46TTL: 1,
});

test("mappings of a gateway with leases", tools, async (t) => {
  let redis!: TestRedis;
  const lab = await gatewayLab(t, {
    resources: { "egress.yaml": egress },
    async store(topology) {
      redis = await startRedis({ inside: topology.gateway.inside });
      topology.cleanup.defer(() => void redis.stop());
      const times = ["--mapping-lease", "10s", "--mapping-grace", "0s", "--mapping-quarantine", "0s"];
      const journal = ["--mapping-journal", `${topology.folder}/journal`];
      return { url: redis.url, args: [...times, ...journal, "--sorry-page", `${sorry}:80`] };
    },
  });
  const { topology } = lab;
  const [pod] = topology.pods;
  await topology.gateway.ip([`addr add ${sorry}/32 dev lo`]);
  const address = async (name: string) => (await pod.run(["dig", "+short", name, "A"])).split("\n")[0] ?? "";
  const key = "0073c3b6eft_dns4610.244.50.0";

  await t.test("an entry has its lease in value and time, and is held for its host", async () => {
    assert.equal(await address("v6only.example"), "10.244.50.0");
    assert.match(await redis.cli("GET", key), /^00010000000a0000000000000002/);
    const leftMs = Number(await redis.cli("PTTL", key));
    assert.ok(leftMs > 5000 && leftMs <= 11_000, String(leftMs));
    assert.match(await redis.cli("GET", "egress46:held:10.244.50.0"), /^2001:db8:/);
  });

  await t.test(
    "no address is left for another host: the sorry IP, whose page says so to the Pod",
    async () => {
      assert.equal(await address("manual.example"), sorry);
      const page = await pod.run(["curl", "-sS", "-i", "--max-time", "5", `http://${sorry}/any`]);
      assert.match(page, /^HTTP\/1\.1 503 [\s\S]*retry-after: 60[\s\S]*No address free/i);
    },
  );

  await t.test("a connection alone keeps the mapping beyond its lease", async () => {
    const [program = "", ...args] = pod.inside([
      ...[process.execPath, "-e"],
      `require("node:net").connect(80, "10.244.50.0").on("connect", () => console.log("open"));`,
    ]);
    const client = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(client.stdout, "data");
      // Nobody asks for the name meanwhile: an entry of 11 seconds at most would have ended.
      await delay(12_500);
      assert.equal(await redis.cli("EXISTS", key), "1");
    } finally {
      client.kill("SIGKILL");
    }
  });

  await t.test(
    "Redis is away: a new host gets an address all the same, which Redis has afterwards",
    async () => {
      await redis.cli("DEL", key, "egress46:held:10.244.50.0");
      await eventually("forgotten", async () => !(await lab.command("status")).includes("1 known"), 5000);
      await redis.kill();
      await eventually("away", async () => (await lab.command("status")).includes("NOT connected"), 5000);
      await eventually("an address", async () => (await address("v6only.example")) === "10.244.50.0", 8000);
      await redis.restart();
      await eventually("stored", async () => (await redis.cli("EXISTS", key)) === "1", 8000);
    },
  );
});
