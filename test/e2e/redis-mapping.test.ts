/** What a stored mapping means for traffic: while the store is stopped, after it was deleted, when it is made anew. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { gatewayLab } from "../support/gateway-lab.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { labAddresses, type Netns } from "../support/topology.ts";

const tools = needs("root", "tun", "ip", "nft", "curl", "dig", "redis-server", "redis-cli");

/** Connects every 5 ms until stopped; `stop` gives the times (ms of the epoch) at which an attempt that succeeded began. */
function connecting(pod: Netns, address: string) {
  const script = `
    setInterval(() => {
      const began = Date.now(), socket = require("node:net").connect(80, "${address}");
      socket.on("connect", () => { process.stdout.write(began + "\\n"); socket.destroy(); }).on("error", () => {});
    }, 5);`;
  const [program = "", ...args] = pod.inside([process.execPath, "-e", script]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return {
    async stop(): Promise<number[]> {
      child.kill("SIGKILL");
      await once(child, "close");
      return output.split("\n").filter(Boolean).map(Number);
    },
  };
}

test("a mapping in Redis", tools, async (t) => {
  let redis!: TestRedis;
  const lab = await gatewayLab(t, {
    async store({ gateway, cleanup }) {
      redis = await startRedis({ inside: gateway.inside });
      cleanup.defer(() => void redis.stop());
      return { url: redis.url };
    },
  });
  const [pod] = lab.topology.pods;
  const dig = async (name: string) =>
    (await pod.run(["dig", "+short", "+time=4", name, "A"])).split("\n")[0]!;
  const page = (address: string) => pod.run(["curl", "-sS", "--max-time", "4", `http://${address}/`]);
  const nat4 = await dig("v6only.example");
  const key = `0073c3b6eft_dns46${nat4}`;

  await t.test("Redis stopped: a name served before is answered, its traffic goes on", async () => {
    redis.pause();
    try {
      await sleep(1500);
      assert.equal(await dig("v6only.example"), nat4);
      assert.match(await page(nat4), /Welcome to v6only\.example/);
    } finally {
      redis.resume();
    }
    assert.match(await page(nat4), /Welcome to v6only\.example/);
  });

  await t.test("DEL: new connections stop, those before go through", async (t) => {
    await sleep(500);
    const pings = connecting(pod, nat4);
    await sleep(1000);
    const deletedAt = Date.now();
    assert.equal(await redis.cli("DEL", key), "1");
    await sleep(1000);
    const began = await pings.stop();
    assert.ok(began.filter((ms) => ms < deletedAt).length > 50, "connections before");
    const last = Math.max(...began) - deletedAt;
    t.diagnostic(`the last connection that succeeded began ${last} ms after DEL was sent`);
    assert.ok(last < 500, `${last} ms`);
  });

  await t.test("the next question makes it anew: the same address, stored again", async () => {
    assert.equal(await redis.cli("EXISTS", key), "0");
    assert.equal(await dig("v6only.example"), nat4);
    assert.equal((await redis.cli("GET", key)).slice(28), labAddresses.web.v6only);
    assert.match(await page(nat4), /Welcome to v6only\.example/);
  });
});
