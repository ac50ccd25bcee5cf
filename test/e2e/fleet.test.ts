/** Four gateways on one Redis: an address means the same host on each of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { askFleet, hostsByName, startFleet, storeAddress } from "../support/fleet.ts";
import { assertOneMeaning, refusalsIn, storedMappings } from "../support/ledger.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const tools = needs("root", "tun", "ip", "nft", "redis-server", "redis-cli");
const names = 2000;

test("four gateways are asked the same 2,000 names at once, in different orders", tools, async (t) => {
  let redis!: TestRedis;
  const { members } = await startFleet(t, {
    gateways: 4,
    names,
    subnet: "10.96.0.0/20",
    async store({ inside }) {
      redis = await startRedis({ inside, config: [`bind 127.0.0.1 ${storeAddress}`, "protected-mode no"] });
      t.after(() => redis.stop());
      return { url: redis.url.replace("127.0.0.1", storeAddress) };
    },
  });
  const hosts = hostsByName(names);
  const ledgers = await askFleet(members, [...hosts.keys()]);
  assertOneMeaning(ledgers, hosts, await storedMappings(redis));
  assert.deepEqual(refusalsIn(ledgers), [], "nothing went wrong");
});
