import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import { openLmdbStore } from "./lmdb-store.ts";
import type { RedisTarget } from "./redis-connection.ts";
import { openRedisStore } from "./redis-store.ts";
import type { MappingStore } from "./store.ts";

export interface StoreOptions {
  /** `lmdb:DIR`, `redis://[user[:password]@]host[:port][/db]` or the same with `rediss://` (TLS). */
  readonly spec: string;
  /** PEM files for rediss://: client certificate, its key, and the authority that signed the server's. */
  readonly redisCert?: string | undefined;
  readonly redisKey?: string | undefined;
  readonly redisCa?: string | undefined;
}

/**
 * Opens the store of --store. A Redis that is down is no error: the store resolves, its calls reject with
 * EG46_STORE_UNAVAILABLE until it is back. Rejects with EG46_USAGE when the options are wrong or a PEM file cannot be
 * read, EG46_STORE_UNAVAILABLE when an LMDB folder cannot be used.
 */
export async function openStore(options: StoreOptions & { readonly log: Logger }): Promise<MappingStore> {
  if (options.spec.startsWith("lmdb:")) {
    const dir = options.spec.slice("lmdb:".length);
    if (dir === "") throw usage("--store lmdb: lacks the folder, as in lmdb:/var/lib/egress46/default");
    if (hasPem(options)) throw usage("--redis-cert, --redis-key and --redis-ca need --store rediss://…");
    return await openLmdbStore(dir);
  }
  return openRedisStore(redisTarget(options), options.log);
}

/** The parsed form of a Redis --store. Throws EG46_USAGE. */
export function redisTarget(options: StoreOptions): RedisTarget {
  const url = URL.canParse(options.spec) ? new URL(options.spec) : undefined;
  const secure = url?.protocol === "rediss:";
  if (url === undefined || !(secure || url.protocol === "redis:"))
    throw usage(`--store '${withoutCredentials(options.spec)}' is none of lmdb:DIR, redis://…, rediss://…`);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const name = `${url.protocol}//${url.host}${url.pathname}`;
  const [, db] = /^\/?(\d{0,5})$/.exec(url.pathname) ?? [];
  if (host === "") throw usage(`--store ${name} lacks a host`);
  if (db === undefined) throw usage(`--store ${name}: '${url.pathname.slice(1)}' is not a database number`);
  if (url.search !== "" || url.hash !== "")
    throw usage(`--store ${name}: nothing may follow the database number`);
  if (!secure && hasPem(options))
    throw usage("--redis-cert, --redis-key and --redis-ca need --store rediss://…");
  return {
    name,
    host,
    port: url.port === "" ? 6379 : Number(url.port),
    username: decode(url.username, name),
    password: decode(url.password, name),
    db: Number(db),
    tls: secure ? { ...(isIP(host) === 0 ? { servername: host } : {}), ...pemTexts(options) } : undefined,
  };
}

function pemTexts({ redisCert, redisKey, redisCa }: StoreOptions) {
  if ((redisCert === undefined) !== (redisKey === undefined))
    throw usage("--redis-cert and --redis-key go together");
  return {
    ...(redisCert === undefined ? {} : { cert: readPem("--redis-cert", redisCert) }),
    ...(redisKey === undefined ? {} : { key: readPem("--redis-key", redisKey) }),
    ...(redisCa === undefined ? {} : { ca: readPem("--redis-ca", redisCa) }),
  };
}

function readPem(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Eg46Error("EG46_USAGE", `${option}: ${(error as Error).message}`, { cause: error });
  }
}

function hasPem({ redisCert, redisKey, redisCa }: StoreOptions): boolean {
  return [redisCert, redisKey, redisCa].some((file) => file !== undefined);
}

function decode(text: string, name: string): string | undefined {
  try {
    return text === "" ? undefined : decodeURIComponent(text);
  } catch {
    throw usage(
      `--store ${name}: the credentials hold a '%' that is not followed by two hex digits (write %25)`,
    );
  }
}

function withoutCredentials(spec: string): string {
  return spec.replace(/\/\/.*@/, "//");
}

function usage(message: string): Eg46Error {
  return new Eg46Error("EG46_USAGE", message);
}
