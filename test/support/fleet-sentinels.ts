/** A primary, two replicas and three sentinels at one address of a namespace. */
import { setTimeout as delay } from "node:timers/promises";
import { startRedis, type TestRedis } from "./redis.ts";

export interface FleetSentinels {
  /** `redis+sentinel://…/mymaster`, all three. */
  readonly url: string;
  /** The first primary, then its replicas. */
  readonly servers: readonly TestRedis[];
  readonly sentinels: readonly TestRedis[];
  /** Whom the sentinels name. */
  primary(): Promise<TestRedis>;
  stop(): Promise<void>;
}

/** `inside` puts a command line into the namespace that has `address`. */
export async function startFleetSentinels(
  address: string,
  inside: (argv: readonly string[]) => string[],
): Promise<FleetSentinels> {
  // The defaults take seconds, which is the servers' time and not ours.
  const config = [
    `bind ${address}`,
    "protected-mode no",
    "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
  ];
  const started: TestRedis[] = [];
  async function start(options: { sentinel?: boolean; config: readonly string[] }): Promise<TestRedis> {
    const server = await startRedis({ ...options, inside });
    started.push(server);
    return server;
  }
  async function stop(): Promise<void> {
    for (const server of started.reverse()) await server.stop();
  }
  async function patiently(what: string, condition: () => Promise<boolean>): Promise<void> {
    for (const endMs = performance.now() + 30_000; !(await condition()); await delay(50))
      if (performance.now() > endMs) throw new Error(`the servers don't come up: ${what}`);
  }
  try {
    const first = await start({ config });
    const replicaOf = { config: [...config, `replicaof ${address} ${first.port}`] };
    const servers = [first, await start(replicaOf), await start(replicaOf)];
    const sentinels: TestRedis[] = [];
    for (let index = 0; index < 3; index++)
      sentinels.push(
        await start({
          sentinel: true,
          config: [
            ...[`bind ${address}`, "protected-mode no"],
            `sentinel monitor mymaster ${address} ${first.port} 2`,
            "sentinel down-after-milliseconds mymaster 1000",
            "sentinel failover-timeout mymaster 5000",
          ],
        }),
      );
    for (const sentinel of sentinels)
      await sentinel.cli("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "300");
    for (const sentinel of sentinels)
      await patiently("sentinels know each other and the replicas", async () => {
        const info = await sentinel.cli("INFO", "sentinel");
        return info.includes("status=ok") && info.includes("slaves=2,sentinels=3");
      });
    await patiently("replicas follow", async () => {
      const info = await first.cli("INFO", "replication");
      return (info.match(/state=online,offset=[1-9]/g) ?? []).length === 2;
    });
    const hosts = sentinels.map(({ port }) => port);
    return {
      url: `redis+sentinel://${hosts.map((port) => `${address}:${port}`).join(",")}/mymaster`,
      ...{ servers, sentinels, stop },
      async primary() {
        const named = await sentinels[0]!.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster");
        return servers.find((server) => named.endsWith(String(server.port)))!;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
