import { fileSource } from "../config/observe.ts";
import { readAuthority } from "../dns/upstream-options.ts";
import { Eg46Error, explain } from "../errors.ts";
import type { Logger } from "../log.ts";
import { watchCertificates } from "./certificates-watch.ts";
import { watchFeedTls } from "./feed-tls-watch.ts";
import { type GatewayProcess, startGateway } from "./gateway-process.ts";
import { type Heartbeat, startHeartbeat } from "./heartbeat.ts";
import { watchHost } from "./host-watch.ts";
import type { RunOptions } from "./main.ts";
import type { Network } from "./network.ts";
import type { Identity } from "./privileges.ts";
import type { FileContents, NetworkPlan, ToNetd } from "./protocol.ts";

const firstBackoffMs = 100;
const longestBackoffMs = 5000;
const stopSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

export interface Supervision extends RunOptions {
  /** The gateway's main module. */
  readonly main: string;
  readonly network: Network;
  readonly identity: Identity;
  readonly storeFolder: string | undefined;
  readonly journalFolder: string | undefined;
  readonly sorrySocket: number | undefined;
}

interface Child {
  readonly process: GatewayProcess;
  readonly heartbeat: Heartbeat;
  /** What it said last that it is doing. */
  phase: string;
}

/**
 * Keeps a gateway process running until a stop signal: starts it anew when it ends or hangs, makes its plans real, and
 * reads for it what it may not read. Resolves with the exit code of netd; rejects with EG46_USAGE, nothing started,
 * when the files cannot be read.
 */
export async function supervise(options: Supervision, log: Logger): Promise<number> {
  const { main, network, identity, storeFolder, journalFolder, sorrySocket } = options;
  const over = new AbortController();
  let child: Child | undefined;
  let config = await fileSource(options.gateway.files).start((snapshot) => {
    config = snapshot;
    child?.process.send({ type: "config", snapshot });
  }, over.signal);

  let certificates = await watchCertificates(
    options.gateway,
    (next) => {
      certificates = next;
      child?.process.send({ type: "certificates", certificates });
    },
    log,
    over.signal,
  );

  let feedTls = await watchFeedTls(
    options.gateway.envoy?.tls,
    (next) => {
      feedTls = next;
      child?.process.send({ type: "feed-tls", feedTls: next });
    },
    log,
    over.signal,
  );

  return new Promise((resolve) => {
    let everReady = false;
    let stopping = false;
    let backoffMs = firstBackoffMs;
    let respawn: NodeJS.Timeout | undefined;
    let refreshProblem: string | undefined;

    function launch(): void {
      try {
        child = start(readAuthority(options.gateway.dnsUpstreams));
      } catch (error) {
        // For one a certificate that is just being replaced.
        log.error(explain(error));
        launchLater();
      }
    }

    function launchLater(): void {
      respawn = setTimeout(launch, backoffMs);
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
    }

    function start(dnsTlsCa: FileContents["dnsTlsCa"]): Child {
      const gateway = startGateway(
        { main, identity, tuns: network.tuns, storeFolder, journalFolder, sorrySocket },
        {
          message: (message) => handle(started, message),
          exit: (reason) => ended(started, reason),
        },
      );
      const heartbeat = startHeartbeat(
        () => gateway.send({ type: "ping" }),
        () => {
          log.error(`the gateway process does not answer any more, while ${started.phase}: it is killed`);
          gateway.kill();
        },
      );
      const started: Child = { process: gateway, heartbeat, phase: "starting" };
      log.debug(`gateway process ${gateway.pid}`);
      gateway.send({
        type: "start",
        facts: { ...network.facts(), ...gateway.descriptors },
        options: {
          ...options.gateway,
          storeFolder: gateway.storeFolder,
          journalFolder: gateway.journalFolder,
          sorryPageFd: gateway.sorryPageFd,
        },
        contents: { config, certificates, dnsTlsCa, feedTls },
      });
      return started;
    }

    function ended({ heartbeat, phase }: Child, reason: string): void {
      heartbeat.stop();
      if (stopping) return;
      log.error(
        `the gateway process ended (${reason}) while ${phase}; traffic is refused; starts it again in ${backoffMs} ms`,
      );
      launchLater();
    }

    function handle(from: Child, message: ToNetd): void {
      if (stopping) return;
      switch (message.type) {
        case "plan":
          void applyPlan(from.process, message.id, message.plan);
          break;
        case "pong":
          from.heartbeat.answered();
          break;
        case "phase":
          from.phase = message.phase;
          break;
        case "ready":
          if (!everReady) process.stdout.write(`${message.line}\n`);
          everReady = true;
          network.keep();
          backoffMs = firstBackoffMs;
          break;
        case "fatal":
          process.stderr.write(`${message.text}\n`);
          if (!everReady) void finish(1, () => network.undo());
      }
    }

    /** The gateway, which hears of a failure, is the one to log it. */
    async function applyPlan(from: GatewayProcess, id: number, plan: NetworkPlan): Promise<void> {
      try {
        await network.apply(plan);
        from.sendDnsSockets(network.dnsSockets());
        from.send({ type: "planned", id });
      } catch (error) {
        const code = error instanceof Eg46Error ? error.code : undefined;
        from.send({ type: "planned", id, error: (error as Error).message, code });
      }
    }

    async function refresh(): Promise<void> {
      try {
        const changed = await network.refresh();
        refreshProblem = undefined;
        if (!changed || child === undefined || stopping) return;
        child.process.send({ type: "facts", facts: { ...network.facts(), ...child.process.descriptors } });
        child.process.sendDnsSockets(network.dnsSockets());
      } catch (error) {
        const problem = explain(error);
        if (problem !== refreshProblem) log.error(problem);
        refreshProblem = problem;
      }
    }

    async function finish(code: number, restore: () => Promise<void>): Promise<void> {
      if (stopping) return;
      stopping = true;
      over.abort();
      clearTimeout(respawn);
      watch.close();
      await child?.process.stop();
      try {
        await restore();
      } catch (error) {
        log.error(explain(error));
      }
      network.close();
      resolve(code);
    }

    const watch = watchHost(refresh);
    for (const signal of stopSignals)
      process.on(
        signal,
        () => void finish(0, () => (options.cleanup ? network.cleanup() : Promise.resolve())),
      );
    launch();
  });
}
