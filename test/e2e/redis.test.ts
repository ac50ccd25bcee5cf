/** The specification's manual entry, typed by hand into a real Redis over TLS with client certificates. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { execute, needs } from "../support/exec.ts";
import { eventually, gatewayLab } from "../support/gateway-lab.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { labAddresses } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "redis-server", "redis-cli", "openssl");

const key = "0073c3b6eft_dns4610.144.175.220";
const value = (host6: string) => `0001000000000000000000000002${host6}`;

test("entries made by hand in Redis (TLS, client certificates)", tools, async (t) => {
  let redis!: TestRedis;
  const lab = await gatewayLab(t, {
    async store(topology) {
      redis = await startRedis({ tls: true, inside: topology.gateway.inside });
      topology.cleanup.defer(() => void redis.stop());
      const { client, ca } = redis.certificates!;
      return {
        url: redis.url,
        args: ["--redis-cert", client.cert, "--redis-key", client.key, "--redis-ca", ca],
      };
    },
  });
  const [pod] = lab.topology.pods;
  const page = () => execute(pod.inside(["curl", "-sS", "--max-time", "2", "http://10.144.175.220:8080/"]));
  const { client, ca } = redis.certificates!;
  const tls = ["--tls", "--cert", client.cert, "--key", client.key, "--cacert", ca];
  const port = new URL(redis.url).port;
  const redisCli = async (...args: string[]) =>
    (await lab.topology.gateway.run(["redis-cli", "-p", port, ...tls, ...args])).trim();

  await t.test("SETNX by redis-cli over TLS, outside the subnet: curl works within a second", async () => {
    assert.equal(await redisCli("SETNX", key, value("2002::10:20:2:206")), "1");
    await eventually("the page", async () => (await page()).stdout.includes("manual.example"), 1000);
  });

  await t.test("a second SETNX is refused", async () => {
    assert.equal(await redisCli("SETNX", key, value("2001:db8::1")), "0");
    assert.match((await page()).stdout, /manual\.example at 2002::10:20:2:206/);
  });

  await t.test("DEL and SETNX to another host sends new connections there", async () => {
    await lab.topology.internet.ip(["addr add 2002::10:20:2:207/128 dev lo nodad"]);
    const script = `require("node:http").createServer((q, r) => r.end("the other host\\n")).listen(8080, "2002::10:20:2:207")`;
    const server = execute(lab.topology.internet.inside([process.execPath, "-e", script]), {
      timeoutMs: 20_000,
    });
    assert.equal(await redisCli("DEL", key), "1");
    assert.equal(await redisCli("SETNX", key, value("2002::10:20:2:207")), "1");
    await eventually("the other page", async () => (await page()).stdout.includes("the other host"), 3000);
    void server;
  });

  await t.test("DEL alone: new connections no longer reach the host", async () => {
    await redisCli("DEL", key);
    await eventually("no page", async () => (await page()).code !== 0, 4000);
  });

  await t.test("DNS-made entries have the same form", async () => {
    const nat4 = (await pod.run(["dig", "+short", "v6only.example", "A"])).split("\n")[0];
    assert.equal(await redisCli("KEYS", "0073c3b6eft_dns46*"), `0073c3b6eft_dns46${nat4}`);
    assert.equal(await redisCli("GET", `0073c3b6eft_dns46${nat4}`), value(labAddresses.web.v6only));
  });

  await t.test("a value that is no mapping: counted, kept, the gateway goes on", async () => {
    await redisCli("SETNX", "0073c3b6eft_dns4610.244.50.9", "rubbish");
    await eventually(
      "it is counted",
      async () =>
        /egress46_mappings_malformed 1\b/.test(
          await lab.topology.gateway.run(["curl", "-sS", "127.0.0.1:9046/metrics"]),
        ),
      2000,
    );
    assert.equal(await redisCli("GET", "0073c3b6eft_dns4610.244.50.9"), "rubbish");
    const refused = await execute(pod.inside(["curl", "-sS", "--max-time", "1", "http://10.244.50.9/"]));
    assert.notEqual(refused.code, 0);
    assert.match(await pod.run(["curl", "-sS", "--max-time", "5", "http://v6only.example/"]), /Welcome/);
  });

  await t.test("`egress46 mappings ls` shows both addresses and the names", async () => {
    const args = ["mappings", "ls", "--store", redis.url];
    const flags = ["--redis-cert", client.cert, "--redis-key", client.key, "--redis-ca", ca];
    const listed = await lab.command(...args, ...flags);
    assert.match(listed, /^10\.244\.50\.\d+ +2001:db8:46::80 +v6only\.example$/m);
    // Unnamed, it is the running gateway's store.
    assert.equal(await lab.command("mappings", "ls"), listed);
  });
});
