/** Four gateways on one store that is in trouble: no answer is lost or changes its meaning. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { needs } from "../support/exec.ts";
import { askFleet, hostsByName, startFleet, storeAddress } from "../support/fleet.ts";
import { type FleetSentinels, startFleetSentinels } from "../support/fleet-sentinels.ts";
import { eventually } from "../support/gateway-lab.ts";
import { assertOneMeaning, refusalsIn, storedMappings } from "../support/ledger.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const tools = needs("root", "tun", "ip", "nft", "redis-server", "redis-cli");
const names = 2000;
/** So long that the trouble, however slow it comes, finds claims under way. */
const spreadMs = 8000;

interface Store {
  readonly url: string;
  /** Whose entries count, now. */
  readonly primary: () => Promise<TestRedis>;
  readonly trouble: () => Promise<void>;
}

/** Asks for every name at every gateway twice: while the trouble comes and goes, and afterwards. */
async function inTrouble(
  t: TestContext,
  startStore: (inside: (argv: readonly string[]) => string[]) => Promise<Store>,
): Promise<void> {
  let store!: Store;
  const { members } = await startFleet(t, {
    gateways: 4,
    names,
    subnet: "10.96.0.0/20",
    async store({ inside }) {
      store = await startStore(inside);
      // Every question is decided anew: what a gateway knows is asked for, not what it once said.
      return { url: store.url, args: ["--dns-cache", "off", "--redis-wait", "auto"] };
    },
  });
  const hosts = hostsByName(names);
  const first = await store.primary();
  const asking = askFleet(members, [...hosts.keys()], spreadMs);
  const size = async () => Number(await first.cli("DBSIZE"));
  await eventually("claims under way", async () => (await size()) > names / 4, 30_000);
  const [, during] = await Promise.all([store.trouble(), asking]);
  const afterwards = await askFleet(members, [...hosts.keys()]);
  const primary = await store.primary();
  const refused = refusalsIn(during);
  const times = new Map<string, number>();
  for (const { answer } of refused) times.set(answer, (times.get(answer) ?? 0) + 1);
  const log = members.map(({ gateway }) => gateway.stdout() + gateway.stderr()).join("\n");
  for (const [text] of log.matchAll(/(\d+) mappings that it lacks are put back/g)) t.diagnostic(text);
  t.diagnostic(`answers without an address: ${JSON.stringify(Object.fromEntries(times))}`);
  assertOneMeaning([...during, ...afterwards], hosts, await storedMappings(primary));
  assert.deepEqual(refusalsIn(afterwards), [], "nothing goes wrong any more");
  assert.ok(!log.includes("EG46_MAPPING_CONFLICT"), "no gateway knew of an address that was another's");
}

test("Redis is stopped (SIGSTOP) for 5 s in the middle", tools, (t) =>
  inTrouble(t, async (inside) => {
    const redis = await startRedis({ inside, config: [`bind ${storeAddress}`, "protected-mode no"] });
    t.after(() => redis.stop());
    return {
      url: redis.url.replace("127.0.0.1", storeAddress),
      primary: async () => redis,
      async trouble() {
        redis.pause();
        await delay(5000);
        redis.resume();
      },
    };
  }),
);

const failovers: Record<string, (sentinels: FleetSentinels) => Promise<void>> = {
  "SENTINEL FAILOVER in the middle": async ({ sentinels }) =>
    void (await sentinels[0]!.cli("SENTINEL", "FAILOVER", "mymaster")),
  "the primary is killed (SIGKILL) in the middle": ({ servers }) => servers[0]!.kill(),
};

describe("a primary, two replicas and three sentinels", tools, () => {
  for (const [name, trouble] of Object.entries(failovers))
    test(name, (t) =>
      inTrouble(t, async (inside) => {
        const sentinels = await startFleetSentinels(storeAddress, inside);
        t.after(() => sentinels.stop());
        const { url, servers, primary } = sentinels;
        return {
          ...{ url, primary },
          async trouble() {
            await trouble(sentinels);
            await eventually("promotion", async () => (await primary()) !== servers[0], 30_000);
          },
        };
      }),
    );
});
