import { setTimeout as delay } from "node:timers/promises";
import { mustExecute } from "./exec.ts";
import { freePort, startRedis, type TestRedis } from "./redis.ts";

export interface TestSentinels {
  /** `redis+sentinel://…/mymaster`, the first of whose sentinels is not there. */
  readonly url: string;
  /** The first primary, then its replica. */
  readonly servers: readonly TestRedis[];
  readonly sentinel: TestRedis;
  /** Whom the sentinel names. */
  primary(): Promise<TestRedis>;
  stop(): Promise<void>;
}

/** `config`: further lines of both servers. */
export async function startSentinels(
  options: {
    tls?: boolean;
    config?: readonly string[];
    password?: string;
    sentinelConfig?: readonly string[];
    sentinelPassword?: string;
  } = {},
): Promise<TestSentinels> {
  const { tls = false, config = [], password, sentinelConfig = [], sentinelPassword } = options;
  const mutual = tls ? ["tls-replication yes"] : [];
  const common = ["repl-diskless-sync-delay 0", ...mutual, ...config];
  const first = await startRedis({ tls, password, config: common });
  const started = [first];
  const stop = async () => {
    for (const server of started.reverse()) await server.stop();
  };
  try {
    const { certificates } = first;
    const login = password === undefined ? [] : [`masterauth ${password}`];
    const second = await startRedis({
      ...{ certificates, password },
      config: [...common, ...login, `replicaof 127.0.0.1 ${first.port}`],
    });
    started.push(second);
    await followed(first);
    const sentinel = await startRedis({
      ...{ certificates, password: sentinelPassword, sentinel: true },
      config: [
        ...mutual,
        `sentinel monitor mymaster 127.0.0.1 ${first.port} 1`,
        "sentinel down-after-milliseconds mymaster 700",
        "sentinel failover-timeout mymaster 3000",
        ...(password === undefined ? [] : [`sentinel auth-pass mymaster ${password}`]),
        ...sentinelConfig,
      ],
    });
    started.push(sentinel);
    await sentinel.cli("SENTINEL", "DEBUG", "info-period", "300");
    await patiently("replica known", async () => /slaves=1/.test(await sentinel.cli("INFO", "sentinel")));
    const servers = [first, second];
    const hosts = `127.0.0.1:${await freePort()},127.0.0.1:${sentinel.port}`;
    return {
      url: `${tls ? "rediss" : "redis"}+sentinel://${hosts}/mymaster`,
      ...{ servers, sentinel, stop },
      async primary() {
        const named = await sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster");
        return servers.find((server) => named.endsWith(String(server.port)))!;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface TestCluster {
  readonly url: string;
  readonly nodes: readonly TestRedis[];
  /** Follows redirections. */
  cli(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** Three primaries with a third of the slots each; the URL names one of them. `replicas`: one for each. */
export async function startCluster({ replicas = false } = {}): Promise<TestCluster> {
  const start = async () => {
    const bus = await freePort();
    const node = await startRedis({
      config: [
        "cluster-enabled yes",
        `cluster-port ${bus}`,
        "cluster-node-timeout 700",
        "cluster-require-full-coverage no",
        "cluster-replica-validity-factor 0",
        "repl-diskless-sync-delay 0",
      ],
    });
    return { node, bus };
  };
  const all = await Promise.all(Array.from({ length: replicas ? 6 : 3 }, start));
  const nodes = all.map(({ node }) => node);
  const stop = async () => {
    for (const node of nodes) await node.stop();
  };
  try {
    await join(all);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `redis+cluster://127.0.0.1:${nodes[0]!.port}`,
    ...{ nodes, stop },
    cli: async (...args) =>
      (await mustExecute(["redis-cli", "-c", "-p", String(nodes[0]!.port), ...args])).trim(),
  };
}

/** The first three become primaries; the others their replicas. */
async function join(all: readonly { readonly node: TestRedis; readonly bus: number }[]): Promise<void> {
  const nodes = all.map(({ node }) => node);
  const primaries = nodes.slice(0, 3);
  for (const [index, node] of nodes.entries())
    await node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
  const bounds = [0, 5461, 10923, 16384];
  for (const [index, node] of primaries.entries())
    await node.cli("CLUSTER", "ADDSLOTSRANGE", String(bounds[index]), String(bounds[index + 1]! - 1));
  for (const { node, bus } of all.slice(1))
    await nodes[0]!.cli("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(bus));
  const met = async (node: TestRedis) => {
    const info = await node.cli("CLUSTER", "INFO");
    return (
      info.includes(`cluster_known_nodes:${all.length}`) &&
      info.includes("cluster_slots_assigned:16384") &&
      info.includes("cluster_state:ok")
    );
  };
  for (const node of nodes) await patiently("cluster met", () => met(node));
  for (const [index, node] of nodes.slice(3).entries())
    await node.cli("CLUSTER", "REPLICATE", await nodes[index]!.cli("CLUSTER", "MYID"));
  if (nodes.length > 3) await Promise.all(primaries.map(followed));
}

/** Resolves once the replica has confirmed something that the primary sent. */
async function followed(primary: TestRedis): Promise<void> {
  const info = () => primary.cli("INFO", "replication");
  await patiently("replica online", async () => /state=online/.test(await info()));
  await primary.cli("PUBLISH", "egress46", "test");
  await patiently("replica confirms", async () => !/,offset=0,/.test(await info()));
}

async function patiently(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await condition()) return;
    await delay(30);
  }
  throw new Error(`the servers don't come up: ${what}`);
}
