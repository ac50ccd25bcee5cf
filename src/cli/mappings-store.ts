import type { Command } from "commander";
import type { StoreBody } from "../admin/api.ts";
import { Eg46Error, hasCode } from "../errors.ts";
import { createLogger } from "../log.ts";
import { defaultStore } from "../mappings/default-store.ts";
import { openStore, type StoreOptions } from "../mappings/open.ts";
import { redisForms } from "../mappings/redis-url.ts";
import type { MappingStore } from "../mappings/store.ts";
import { askGateway, gatewayAddresses, registeredPid, withAdminOption } from "./admin-client.ts";

export interface StoreFlags {
  readonly store?: string;
  readonly redisCert?: string;
  readonly redisKey?: string;
  readonly redisCa?: string;
  readonly admin?: string;
}

/** Opens the store that the flags name, else the running gateway's, else the one that a gateway would use by default. */
export async function openChosenStore(flags: StoreFlags & { create?: boolean }): Promise<MappingStore> {
  const { create = false } = flags;
  const options = flags.store === undefined ? await unnamedStore(flags) : { ...flags, spec: flags.store };
  // What the store would log is in the error of the call as well.
  return await openStore({ ...options, create, log: createLogger("silent") });
}

async function unnamedStore(flags: StoreFlags): Promise<StoreOptions> {
  const { redisCert, redisKey, redisCa } = flags;
  const given = Object.fromEntries(
    Object.entries({ redisCert, redisKey, redisCa }).filter(([, file]) => file !== undefined),
  );
  const reference = await gatewayStore(flags.admin);
  if (reference === undefined) return { ...given, spec: defaultStore() };
  if (reference.credentials)
    throw new Eg46Error(
      "EG46_USAGE",
      `the gateway logs in to its store ${reference.spec}: name it with the credentials by --store`,
    );
  return { ...reference, ...given };
}

/** Undefined when no gateway runs here. One that runs and doesn't answer is an error: the default may not be its store. */
async function gatewayStore(admin: string | undefined): Promise<StoreBody | undefined> {
  try {
    return await askGateway<StoreBody>("/v1/store", await gatewayAddresses(admin));
  } catch (error) {
    if (!hasCode(error, "EG46_ADMIN_UNREACHABLE") || admin !== undefined) throw error;
    const pid = await registeredPid();
    if (pid === undefined) return undefined;
    throw new Eg46Error(
      "EG46_ADMIN_UNREACHABLE",
      `the gateway (process ${pid}) does not say which store it has: name it by --store`,
      { cause: error },
    );
  }
}

export function withStore(command: Command): Command {
  return withAdminOption(command)
    .option(
      "--store <store>",
      `lmdb:DIR, ${redisForms} (default: the one of the gateway that runs in this network namespace, else the folder that it would use)`,
    )
    .option("--redis-cert <file>", "client certificate for rediss:// (PEM)")
    .option("--redis-key <file>", "its private key (PEM)")
    .option("--redis-ca <file>", "authority that signed the server's certificate (PEM)");
}

export async function withOpenStore(
  flags: StoreFlags & { create?: boolean },
  use: (store: MappingStore) => Promise<void>,
): Promise<void> {
  const store = await openChosenStore(flags);
  try {
    await use(store);
  } finally {
    await store.close();
  }
}
