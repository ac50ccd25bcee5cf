import { isIP } from "node:net";
import { resolve } from "node:path";
import { Eg46Error } from "../errors.ts";
import type { Logger } from "../log.ts";
import {
  type CertificateFiles,
  type Certificates,
  checkCertificates,
  readCertificates,
} from "./certificates.ts";
import { openLmdbStore } from "./lmdb-store.ts";
import type { RedisTarget } from "./redis-dial.ts";
import { openRedisStore } from "./redis-store.ts";
import type { MappingStore } from "./store.ts";

export interface StoreOptions extends CertificateFiles {
  /** `lmdb:DIR`, `redis://[user[:password]@]host[:port][/db]` or the same with `rediss://` (TLS). */
  readonly spec: string;
  /** The contents, by whoever may read the files; they are then not read here. */
  readonly certificates?: Certificates | undefined;
  /** Where this process reaches the folder of an LMDB store, if not by its own path. */
  readonly folder?: string | undefined;
}

/** How another process of this host opens the same store: no credentials, absolute paths. */
export interface StoreReference extends CertificateFiles {
  readonly spec: string;
  /** Whether the spec lacks credentials that are needed. */
  readonly credentials: boolean;
}

type Place =
  | { readonly kind: "lmdb"; readonly dir: string }
  | { readonly kind: "redis"; readonly target: RedisTarget };

/**
 * Opens the store of --store. A Redis that is down is no error: the store resolves, its calls reject with
 * EG46_STORE_UNAVAILABLE until it is back. Rejects with EG46_USAGE when the options are wrong or a PEM file cannot be
 * read, EG46_STORE_UNAVAILABLE when an LMDB folder cannot be used (or, unless `create`, is not there),
 * EG46_STORE_CORRUPT when what it holds is no store.
 */
export async function openStore(
  options: StoreOptions & { readonly log: Logger; readonly create?: boolean },
): Promise<MappingStore> {
  const { log, create = true } = options;
  const place = placeOf(options);
  return place.kind === "lmdb"
    ? await openLmdbStore(place.dir, { folder: options.folder ?? place.dir, log, create })
    : openRedisStore(place.target, log);
}

/** Throws EG46_USAGE for what {@link openStore} would refuse as such, touching nothing but the PEM files. */
export function checkStore(options: StoreOptions): void {
  placeOf(options);
}

/** Throws EG46_USAGE. */
export function storeReference(options: StoreOptions): StoreReference {
  const place = placeOf(options);
  if (place.kind === "lmdb") return { spec: `lmdb:${place.dir}`, credentials: false };
  const { name, username, password } = place.target;
  const files = { redisCert: options.redisCert, redisKey: options.redisKey, redisCa: options.redisCa };
  const paths = Object.entries(files).flatMap(([key, file]) =>
    file === undefined ? [] : [[key, resolve(file)]],
  );
  return {
    spec: name,
    credentials: username !== undefined || password !== undefined,
    ...Object.fromEntries(paths),
  };
}

function placeOf(options: StoreOptions): Place {
  if (!options.spec.startsWith("lmdb:")) return { kind: "redis", target: redisTarget(options) };
  const dir = options.spec.slice("lmdb:".length);
  if (dir === "") throw usage("--store lmdb: lacks the folder, as in lmdb:/var/lib/egress46/default");
  if (hasCertificates(options))
    throw usage("--redis-cert, --redis-key and --redis-ca need --store rediss://…");
  return { kind: "lmdb", dir: resolve(dir) };
}

function redisTarget(options: StoreOptions): RedisTarget {
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
  if (!secure && hasCertificates(options))
    throw usage("--redis-cert, --redis-key and --redis-ca need --store rediss://…");
  return {
    name,
    host,
    port: url.port === "" ? 6379 : Number(url.port),
    username: decode(url.username, name),
    password: decode(url.password, name),
    db: Number(db),
    tls: secure
      ? { ...(isIP(host) === 0 ? { servername: host } : {}), ...certificatesOf(options) }
      : undefined,
  };
}

function certificatesOf(options: StoreOptions) {
  const certificates = options.certificates ?? readCertificates(options);
  checkCertificates(certificates);
  const { cert, key, ca } = certificates;
  return { ...(cert && { cert }), ...(key && { key }), ...(ca && { ca }) };
}

function hasCertificates({ certificates = {}, redisCert, redisKey, redisCa }: StoreOptions): boolean {
  return [redisCert, redisKey, redisCa, ...Object.values(certificates)].some((given) => given !== undefined);
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
