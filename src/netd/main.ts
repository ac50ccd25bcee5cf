import { fileURLToPath } from "node:url";
import { type Eg46Error, explain } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type GatewayProcess, startGateway } from "./gateway-process.ts";
import { type Network, setUpNetwork } from "./network.ts";
import { checkPrerequisites } from "./prerequisites.ts";
import { gatewayIdentity, prepareStoreFolder } from "./privileges.ts";
import type { GatewayOptions, NetworkPlan, ToNetd } from "./protocol.ts";
import { removeRunFile, writeRunFile } from "./run-file.ts";
import type { TopologyRequest } from "./topology.ts";

const firstBackoffMs = 100;
const longestBackoffMs = 5000;
const refreshEveryMs = 2000;
const stopSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

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
 * the changes that it asks for. Resolves with the exit code after a stop signal; rejects with EG46_USAGE,
 * EG46_PREREQUISITE or EG46_HOST_NETWORK when it cannot start, everything being undone.
 */
export async function runNetd(options: RunOptions, log: Logger): Promise<number> {
  checkPrerequisites();
  const identity = gatewayIdentity();
  const lmdb = /^lmdb:(.+)$/.exec(options.gateway.store)?.[1];
  const network = await setUpNetwork(options.topology, options.gateway.workers, log);
  try {
    if (lmdb !== undefined) prepareStoreFolder(lmdb, identity.id);
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
    return await supervise(options, network, identity, log);
  } finally {
    removeRunFile(process.pid);
  }
}

function supervise(
  options: RunOptions,
  network: Network,
  identity: ReturnType<typeof gatewayIdentity>,
  log: Logger,
): Promise<number> {
  const main = options.gatewayMain ?? fileURLToPath(new URL("../gateway/main.js", import.meta.url));
  return new Promise((resolve) => {
    let gateway: GatewayProcess | undefined;
    let everReady = false;
    let stopping = false;
    let backoffMs = firstBackoffMs;
    let respawn: NodeJS.Timeout | undefined;

    function launch(): void {
      const started = startGateway(main, identity, network.tuns, {
        message: (message) => {
          handle(started, message);
        },
        exit: (reason) => {
          if (stopping) return;
          log.error(
            `the gateway process ended (${reason}); traffic is refused; starts it again in ${backoffMs} ms`,
          );
          respawn = setTimeout(launch, backoffMs);
          backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
        },
      });
      gateway = started;
      log.debug(`gateway process ${started.pid}`);
      started.send({
        type: "start",
        facts: { ...network.facts(), ...started.descriptors },
        options: options.gateway,
      });
    }

    function handle(from: GatewayProcess, message: ToNetd): void {
      if (stopping) return;
      if (message.type === "plan") void applyPlan(from, message.id, message.plan);
      else if (message.type === "ready") {
        if (!everReady) process.stdout.write(`${message.line}\n`);
        everReady = true;
        network.keep();
        backoffMs = firstBackoffMs;
      } else {
        process.stderr.write(`${message.text}\n`);
        if (!everReady) void finish(1, () => network.undo());
      }
    }

    async function applyPlan(from: GatewayProcess, id: number, plan: NetworkPlan): Promise<void> {
      try {
        await network.apply(plan);
        from.sendDnsSockets(network.dnsSockets());
        from.send({ type: "planned", id });
      } catch (error) {
        log.error(explain(error));
        from.send({ type: "planned", id, error: (error as Eg46Error).message });
      }
    }

    async function refresh(): Promise<void> {
      try {
        if (!(await network.refresh()) || gateway === undefined || stopping) return;
        gateway.send({ type: "facts", facts: { ...network.facts(), ...gateway.descriptors } });
        gateway.sendDnsSockets(network.dnsSockets());
      } catch (error) {
        log.error(explain(error));
      }
    }

    async function finish(code: number, restore: () => Promise<void>): Promise<void> {
      if (stopping) return;
      stopping = true;
      clearTimeout(respawn);
      clearInterval(watch);
      await gateway?.stop();
      try {
        await restore();
      } catch (error) {
        log.error(explain(error));
      }
      network.close();
      resolve(code);
    }

    const watch = setInterval(() => void refresh(), refreshEveryMs);
    for (const signal of stopSignals)
      process.on(
        signal,
        () => void finish(0, () => (options.cleanup ? network.cleanup() : Promise.resolve())),
      );
    launch();
  });
}
