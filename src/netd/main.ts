import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { observeAll } from "../config/observe.ts";
import { readAuthority } from "../dns/upstream-options.ts";
import type { Logger } from "../log.ts";
import { readCertificates } from "../mappings/certificates.ts";
import { setUpNetwork } from "./network.ts";
import { checkPrerequisites } from "./prerequisites.ts";
import { checkProgram, gatewayIdentity, gatewayUid, prepareStoreFolder } from "./privileges.ts";
import type { GatewayOptions } from "./protocol.ts";
import { removeRunFile, writeRunFile } from "./run-file.ts";
import { supervise } from "./supervisor.ts";
import type { TopologyRequest } from "./topology.ts";

export interface RunOptions {
  readonly topology: TopologyRequest;
  /** Remove everything at a stop; otherwise guard, rules and blackholes keep Pods' traffic refused. */
  readonly cleanup: boolean;
  readonly gateway: GatewayOptions;
  /** The gateway's main module; its own one unless a test brings another. */
  readonly gatewayMain?: string;
}

/**
 * The privileged half of `egress46 run`: sets up the host's network, keeps a gateway process running on it and makes
 * the changes that it asks for. Resolves with the exit code after a stop signal. When it cannot start it rejects,
 * everything being undone: EG46_USAGE, EG46_PREREQUISITE, EG46_INTERFACE, EG46_ALREADY_RUNNING, EG46_STORE_FOLDER or
 * EG46_HOST_NETWORK.
 */
export async function runNetd(options: RunOptions, log: Logger): Promise<number> {
  checkPrerequisites();
  // They are read again, and watched, later; here it is only seen whether that works.
  await observeAll(options.gateway.files);
  readCertificates(options.gateway);
  readAuthority(options.gateway.dnsUpstreams);
  const identity = gatewayIdentity();
  const main = options.gatewayMain ?? fileURLToPath(new URL("../gateway/main.js", import.meta.url));
  checkProgram(fileURLToPath(new URL("../../..", import.meta.url)), main, gatewayUid(identity));
  const lmdb = /^lmdb:(.+)$/.exec(options.gateway.store)?.[1];
  const storeFolder = lmdb && resolve(lmdb);
  const network = await setUpNetwork(options.topology, options.gateway.workers, log);
  try {
    if (storeFolder !== undefined) prepareStoreFolder(storeFolder, identity.id);
  } catch (error) {
    await network.undo();
    throw error;
  }
  const { internal, external, internalNets } = network.facts();
  const list = (facts: readonly { readonly name: string }[]) => facts.map(({ name }) => name).join(", ");
  log.info(
    `internal ${list(internal)} (${internalNets.join(", ") || "no network yet"}), external ${list(external)}`,
  );
  writeRunFile({ pid: process.pid, admin: options.gateway.admin }, log);
  try {
    return await supervise({ ...options, main, network, identity, storeFolder }, log);
  } catch (error) {
    await network.undo();
    throw error;
  } finally {
    removeRunFile(process.pid);
  }
}
