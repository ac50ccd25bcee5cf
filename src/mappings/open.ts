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
import { openRedisNodes } from "./redis-open.ts";
import type { RedisWait } from "./redis-replication.ts";
import { openRedisStore } from "./redis-store.ts";
import { parseRedisUrl, type RedisPlace } from "./redis-url.ts";
import type { MappingStore } from "./store.ts";

export interface StoreOptions extends CertificateFiles {
  /** `lmdb:DIR` or a form of redis-url.ts. */
  readonly spec: string;
  /** The contents at any time, by whoever may read the files; they are then not read here. */
  readonly certificates?: (() => Certificates) | undefined;
  /** Default: auto. */
  readonly redisWait?: RedisWait | undefined;
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
  | { readonly kind: "redis"; readonly place: RedisPlace; readonly certificates: () => Certificates };

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
    : openRedisStore(openRedisNodes({ ...place, wait: options.redisWait ?? "auto", log }), log);
}

/** Throws EG46_USAGE for what {@link openStore} would refuse as such, touching nothing but the PEM files. */
export function checkStore(options: StoreOptions): void {
  placeOf(options);
}

/** Throws EG46_USAGE. */
export function storeReference(options: StoreOptions): StoreReference {
  const place = placeOf(options);
  if (place.kind === "lmdb") return { spec: `lmdb:${place.dir}`, credentials: false };
  const { name, login, sentinelLogin } = place.place;
  const secrets = [login.username, login.password, sentinelLogin.username, sentinelLogin.password];
  const files = { redisCert: options.redisCert, redisKey: options.redisKey, redisCa: options.redisCa };
  const paths = Object.entries(files).flatMap(([key, file]) =>
    file === undefined ? [] : [[key, resolve(file)]],
  );
  return {
    spec: name,
    credentials: secrets.some((secret) => secret !== undefined),
    ...Object.fromEntries(paths),
  };
}

function placeOf(options: StoreOptions): Place {
  if (!options.spec.startsWith("lmdb:")) return redisPlace(options);
  const dir = options.spec.slice("lmdb:".length);
  if (dir === "") throw usage("--store lmdb: lacks the folder, as in lmdb:/var/lib/egress46/default");
  if (hasCertificates(options)) throw needlessCertificates();
  return { kind: "lmdb", dir: resolve(dir) };
}

function redisPlace(options: StoreOptions): Place {
  const place = parseRedisUrl(options.spec);
  if (!place.secure && hasCertificates(options)) throw needlessCertificates();
  if (!place.secure) return { kind: "redis", place, certificates: () => ({}) };
  const read = options.certificates === undefined ? readCertificates(options) : undefined;
  const certificates = options.certificates ?? (() => read ?? {});
  checkCertificates(certificates());
  return { kind: "redis", place, certificates };
}

function hasCertificates({ certificates, redisCert, redisKey, redisCa }: StoreOptions): boolean {
  const contents = Object.values(certificates?.() ?? {});
  return [redisCert, redisKey, redisCa, ...contents].some((given) => given !== undefined);
}

function needlessCertificates(): Eg46Error {
  return usage(
    "--redis-cert, --redis-key and --redis-ca need --store rediss://… (or rediss+sentinel, rediss+cluster)",
  );
}

function usage(message: string): Eg46Error {
  return new Eg46Error("EG46_USAGE", message);
}
