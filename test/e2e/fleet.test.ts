/** Four gateways on one Redis: an address means the same host on each of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/exec.ts";
import { hostOf, nameOf, startFleet, storeAddress } from "../support/fleet.ts";
import { askAll, assertOneMeaning } from "../support/ledger.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { labAddresses } from "../support/topology.ts";

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
  const all = Array.from({ length: names }, (_, index) => nameOf(index));
  // Each begins elsewhere, and two go backwards.
  const orders = members.map((_, index) => {
    const turned = [...all.slice((index * names) / 4), ...all.slice(0, (index * names) / 4)];
    return index % 2 === 0 ? turned : turned.reverse();
  });
  const ledgers = await Promise.all(
    members.map(({ topology }, index) => askAll(topology.pods[0], labAddresses.resolver, orders[index]!)),
  );
  const keys = (await redis.cli("KEYS", "0073c3b6eft_dns46*")).split("\n").filter(Boolean);
  const values = (await redis.cli("MGET", ...keys)).split("\n");
  const stored = new Map(
    keys.map((key, index) => [key.replace("0073c3b6eft_dns46", ""), values[index]!.slice(28)]),
  );
  assertOneMeaning(ledgers, new Map(all.map((name, index) => [name, hostOf(index)])), stored);
  const refused = ledgers.flat().filter(({ answer }) => !/^[\d.]+$/.test(answer));
  assert.deepEqual(refused, [], "nothing went wrong");
});
