import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { pino } from "pino";
import { createLogger } from "../../src/log.ts";
import { openStore } from "../../src/mappings/open.ts";
import type { MappingStore } from "../../src/mappings/store.ts";
import { mustExecute } from "./exec.ts";
import { startRedis, type TestRedis } from "./redis.ts";
import { startCluster, startSentinels, type TestSentinels } from "./redis-groups.ts";

/** A store's server or folder, and a way to change it behind our back with raw keys. */
export interface StoreLab {
  open(): Promise<MappingStore>;
  /** The command line options that name the store. */
  readonly flags: readonly string[];
  /** By another process: redis-cli SETNX, or LMDB's put-if-absent. */
  foreignSet(key: string, value: string): Promise<void>;
  foreignDelete(key: string): Promise<void>;
  foreignGet(key: string): Promise<string>;
  readonly redis?: TestRedis;
  readonly sentinels?: TestSentinels;
  stop(): Promise<void>;
}

export const quiet = createLogger("silent");

/** A log whose messages can be looked at. */
export function recorded() {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  return { log, lines };
}

export async function lmdbLab(): Promise<StoreLab> {
  const dir = mkdtempSync(join(tmpdir(), "egress46-lmdb-"));
  const code = `import { open } from ${JSON.stringify(import.meta.resolve("lmdb"))};
    const [dir, operation, key, value] = process.argv.slice(1);
    const db = open({ path: dir, noSubdir: false, encoding: "string" });
    if (operation === "set") await db.ifNoExists(key, () => db.put(key, value));
    if (operation === "delete") await db.remove(key);
    if (operation === "get") process.stdout.write(db.get(key) ?? "");
    await db.close();`;
  const foreign = (...args: string[]) =>
    mustExecute([process.execPath, "--input-type=module", "-e", code, dir, ...args]);
  return {
    flags: ["--store", `lmdb:${dir}`],
    open: () => openStore({ spec: `lmdb:${dir}`, log: quiet }),
    foreignSet: async (key, value) => void (await foreign("set", key, value)),
    foreignDelete: async (key) => void (await foreign("delete", key)),
    foreignGet: (key) => foreign("get", key),
    stop: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Inside a describe(): its tests have an LMDB store of their own, which `use` gets before the first of them. */
export function lmdbForTests(use: (store: MappingStore) => void): void {
  let lab: StoreLab | undefined;
  let store: MappingStore | undefined;
  before(async () => {
    lab = await lmdbLab();
    store = await lab.open();
    use(store);
  });
  after(async () => {
    await store?.close();
    await lab?.stop();
  });
}

export async function redisLab(options: Parameters<typeof startRedis>[0] = {}): Promise<StoreLab> {
  const redis = await startRedis(options);
  const pem = pemOf(redis.certificates);
  return {
    redis,
    flags: [
      ...["--store", redis.url],
      ...(pem ? ["--redis-cert", pem.redisCert, "--redis-key", pem.redisKey, "--redis-ca", pem.redisCa] : []),
    ],
    open: () => openStore({ spec: redis.url, ...pem, log: quiet }),
    foreignSet: async (key, value) => void (await redis.cli("SETNX", key, value)),
    foreignDelete: async (key) => void (await redis.cli("DEL", key)),
    foreignGet: (key) => redis.cli("GET", key),
    stop: redis.stop,
  };
}

/** A primary with a replica, and a sentinel behind one that is not there. */
export async function sentinelLab(options: Parameters<typeof startSentinels>[0] = {}): Promise<StoreLab> {
  const sentinels = await startSentinels(options);
  const pem = pemOf(sentinels.servers[0]!.certificates);
  const { url } = sentinels;
  return {
    sentinels,
    flags: ["--store", url],
    open: () => openStore({ spec: url, ...pem, log: quiet }),
    foreignSet: async (key, value) => void (await (await sentinels.primary()).cli("SETNX", key, value)),
    foreignDelete: async (key) => void (await (await sentinels.primary()).cli("DEL", key)),
    foreignGet: async (key) => (await sentinels.primary()).cli("GET", key),
    stop: sentinels.stop,
  };
}

/** Three primaries. */
export async function clusterLab(): Promise<StoreLab> {
  const cluster = await startCluster();
  const { cli, url } = cluster;
  return {
    flags: ["--store", url],
    open: () => openStore({ spec: url, log: quiet }),
    foreignSet: async (key, value) => void (await cli("SETNX", key, value)),
    foreignDelete: async (key) => void (await cli("DEL", key)),
    foreignGet: (key) => cli("GET", key),
    stop: cluster.stop,
  };
}

function pemOf(certificates: TestRedis["certificates"]) {
  return (
    certificates && {
      redisCert: certificates.client.cert,
      redisKey: certificates.client.key,
      redisCa: certificates.ca,
    }
  );
}

/** Polls until the condition holds; resolves to the milliseconds it took. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  patienceMs = 5000,
): Promise<number> {
  const startMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startMs > patienceMs) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return performance.now() - startMs;
}
