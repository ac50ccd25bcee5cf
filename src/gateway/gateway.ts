import { isDeepStrictEqual } from "node:util";
import { numberToIpv4 } from "../addresses.ts";
import { createAdmin } from "../admin/server.ts";
import type { EgressStatus } from "../admin/view.ts";
import { type Loaded, watchConfig } from "../config/files.ts";
import { formatNote } from "../config/notes.ts";
import { formatChange, planChange } from "../config/plan.ts";
import { formatProblem } from "../config/problem.ts";
import { type EgressConfig, type Resolution, resolveEgress } from "../config/resolve.ts";
import { startWorkers } from "../dataplane/workers.ts";
import { createAnswerCache } from "../dns/cache.ts";
import { createDnsProxy } from "../dns/proxy.ts";
import { createRateLimit } from "../dns/rate-limit.ts";
import { upstreamSettings } from "../dns/upstream-options.ts";
import { Path } from "../engine/layout.gen.ts";
import { addressesInUse } from "../engine/mapping-use.ts";
import type { FeedTls } from "../envoy/feed-tls.ts";
import { startEnvoyPlane } from "../envoy/plane.ts";
import { Eg46Error, explain, hasCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import { defaultLife } from "../mappings/keeper.ts";
import { createMappings } from "../mappings/mappings.ts";
import type { DnsSocket, FileContents, GatewayOptions, HostFacts } from "../netd/protocol.ts";
import { type Desired, desire } from "./desired.ts";
import { desireForEnvoy } from "./desired-envoy.ts";
import { createDnsFrontend } from "./dns-frontend.ts";
import { forgettingSink } from "./forgetting-sink.ts";
import type { NetdLink } from "./netd-link.ts";
import { serveSorryPage } from "./sorry-page.ts";
import { openGatewayJournal, openGatewayStore } from "./store.ts";
import { createView } from "./view.ts";

export interface Gateway {
  factsChanged(facts: HostFacts): void;
  /** New certificates for the feed for Envoy. */
  feedTlsChanged(tls: FeedTls): void;
  dnsSockets(sockets: readonly DnsSocket[]): void;
  stop(): Promise<void>;
}

/** A step of the host's network failed: perhaps a link comes back. */
const RETRY_MS = 2000;
/** Between looks whether everything that `ready` promises is there. */
const READY_POLL_MS = 100;
/** Reverse names leave most of the look-ups at once to packets, which wait for them. */
const nameLookups = 64;

export interface GatewayStart {
  readonly options: GatewayOptions;
  readonly contents: FileContents;
  readonly facts: HostFacts;
  readonly netd: NetdLink;
  readonly log: Logger;
  /** The data plane broke down; there is nothing to be saved. */
  failed(error: Error): void;
}

/** Builds the gateway out of its parts and keeps them on the configuration in force. Rejects with Eg46Error. */
export async function startGateway(start: GatewayStart): Promise<Gateway> {
  const { options, contents, netd, log, failed } = start;
  const startedAt = new Date().toISOString();
  const stopping = new AbortController();
  let { facts } = start;
  let resolution: Resolution = { state: "none", notes: [] };
  let problems: string[] = [];
  let inForce: EgressConfig | undefined;
  let applied: Desired | undefined;
  /** What DNS answers have been made by last, in force or not. */
  let answeredBy: unknown[] = [];
  let applyError: string | undefined;
  let retry: NodeJS.Timeout | undefined;

  netd.phase("reading the configuration");
  const source = netd.configSource(contents.config);
  const loaded = await watchConfig(source, (next) => configured(next), stopping.signal);
  const errors = loaded.problems.filter(({ level }) => level === "error").map(formatProblem);
  if (errors.length > 0)
    throw new Eg46Error("EG46_CONFIG_INVALID", `the configuration has errors\n${errors.join("\n")}`);

  const { dnsTlsCa } = contents;
  const certificates = netd.certificates(contents.certificates);
  const { store, reference } = await openGatewayStore(options, certificates, log, netd.phase);
  netd.phase("starting the packet workers");
  const workers = await startWorkers(
    facts.tuns.map(({ fd }) => fd),
    options.engine,
    {
      dns: (question, client, refresh, reply) => frontend.question(question, client, refresh, reply),
      ask: (nat4) => void ask(nat4),
      failed,
    },
  );
  const envoy =
    options.envoy &&
    (await startEnvoyPlane(options.envoy, contents.feedTls, {
      ready: () => applied !== undefined && (inForce?.dns === undefined || everConnected()),
      lookup: (nat4) => mappings.lookup(nat4),
      drained: () => schedule(),
      log,
    }));
  const answers = createAnswerCache(options.engine.sizes.dnsCache ?? 0);
  const journal = await openGatewayJournal(options, log);
  const mappings = createMappings({
    ...{ store, sink: forgettingSink(envoy?.sink ?? workers, answers.forget), log, journal },
    life: options.mappings?.life ?? defaultLife,
    sessions: () => addressesInUse(workers.memories),
  });
  const dns = createDnsProxy({
    mapHost: (host6, { trace }) => mappings.mapHost(host6, trace),
    hostOf: (nat4) => mappings.lookup(nat4, nameLookups),
    names: mappings,
    policy: options.dnsPolicy,
    cache: answers,
    log,
    upstreamSettings: upstreamSettings(options.dnsUpstreams, dnsTlsCa),
  });
  const dnsLimit = createRateLimit(() => workers.counters().packets[Path.DNS] ?? 0);
  const frontend = createDnsFrontend(dns, answers, dnsLimit, log);
  await envoy?.serveDns(frontend.limited);

  /** A packet waits for the mapping of an address: the store knows, or it is dropped. */
  async function ask(nat4: number): Promise<void> {
    try {
      if ((await mappings.lookup(numberToIpv4(nat4))) === undefined) workers.unknown(nat4, false);
    } catch (error) {
      // A store that is away says so itself, once.
      const level = hasCode(error, "EG46_STORE_UNAVAILABLE") ? "debug" : "warn";
      log[level]({ err: error, nat4: numberToIpv4(nat4) }, "mapping look-up failed");
      workers.unknown(nat4, true);
    }
  }

  function configured(next: Loaded): void {
    for (const problem of next.problems) {
      if (problem.level === "error") log.error(formatProblem(problem));
      else log.info(formatProblem(problem));
    }
    problems = next.problems.filter(({ level }) => level === "error").map(formatProblem);
    const before = new Set(resolution.notes.map(formatNote));
    resolution = resolveEgress(next.resources);
    for (const note of resolution.notes.map(formatNote)) if (!before.has(note)) log.warn(note);
    if (resolution.state === "waiting")
      log.warn(`egress ${resolution.namespace}/${resolution.name} waits: ${resolution.reason}`);
    schedule();
  }

  // One application at a time; what changes meanwhile is applied next, once.
  let again = false;
  let applying = false;
  function schedule(): void {
    again = true;
    if (!applying) void applyAll();
  }

  async function applyAll(): Promise<void> {
    applying = true;
    while (again && !stopping.signal.aborted) {
      again = false;
      await apply();
    }
    applying = false;
  }

  async function apply(): Promise<void> {
    const egress = resolution.state === "active" ? resolution.egress : undefined;
    clearTimeout(retry);
    const { behaviour, engine } = options;
    const desired =
      envoy === undefined
        ? desire(egress, facts, workers.count, behaviour, engine.sizes.maxMappings)
        : desireForEnvoy(egress, facts, envoy.draining);
    const changes = planChange(inForce, egress);
    try {
      frontend.allowFrom(facts.internalNets);
      await workers.configure(desired.settings);
      mappings.setPool(desired.mappingPool);
      dns.configure(desired.dns);
      dnsLimit.set(desired.dnsRateLimit);
      const before = answeredBy;
      answeredBy = [desired.dns, desired.mappingPool];
      if (!isDeepStrictEqual(answeredBy, before)) {
        answers.flush();
        workers.flushDns();
      }
      await netd.plan(desired.plan);
      if (desired.feed !== undefined) await envoy?.configure(desired.feed);
      if (egress !== undefined) log.level = egress.debugLog ? "debug" : options.logLevel;
      for (const change of changes) log.info(`applied: ${formatChange(change)}`);
      for (const warning of desired.warnings) if (!applied?.warnings.includes(warning)) log.warn(warning);
      if (applyError !== undefined)
        log.info("the configuration, which could not be applied before, is applied");
      inForce = egress;
      applied = desired;
      applyError = undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== applyError) log.error(`the configuration could not be applied: ${explain(error)}`);
      applyError = message;
      retry = setTimeout(schedule, RETRY_MS);
    }
  }

  function health(): { ok: boolean; reasons: string[] } {
    const reasons: string[] = [];
    if (resolution.state === "none") reasons.push("no F5SPKEgress is configured");
    if (resolution.state === "waiting") reasons.push(resolution.reason);
    if (applyError !== undefined) reasons.push(applyError);
    if (applied === undefined || (inForce === undefined && reasons.length === 0)) reasons.push("starting");
    if (inForce?.dns && !everConnected())
      reasons.push(`mapping store ${store.name} has not answered yet: ${store.problem()}`);
    return { ok: reasons.length === 0, reasons };
  }

  // Later outages of the store don't concern what is known: only the first load decides.
  let connected = false;
  function everConnected(): boolean {
    connected ||= mappings.status().storeConnected;
    return connected;
  }

  function status(): EgressStatus {
    const egress = inForce && `${inForce.namespace}/${inForce.name}`;
    const { poolNote } = mappings.status();
    return {
      state: problems.length > 0 ? "invalid" : resolution.state,
      ...(resolution.state === "waiting" && { reason: resolution.reason }),
      notes: [
        ...resolution.notes.map(formatNote),
        ...(applied?.warnings ?? []),
        ...(poolNote === undefined ? [] : [poolNote]),
      ],
      problems: applyError === undefined ? problems : [...problems, applyError],
      ...(egress !== undefined && { egress }),
      workers: workers.count,
      startedAt,
    };
  }

  const view = createView({
    ...{ mappings, store, dns, answers, health, status },
    workers: envoy === undefined ? workers : { ...workers, counters: envoy.counters },
    storeReference: reference,
    egress: () => inForce,
    behaviour: options.behaviour,
  });
  const { sorryPageFd } = options;
  const sorryPage = sorryPageFd === undefined ? undefined : serveSorryPage(sorryPageFd, log);
  const admin = await createAdmin(view, { listen: options.admin, log });
  netd.phase("reading the store");
  await mappings.start();
  netd.phase("serving");
  configured(loaded);

  const readiness = setInterval(() => {
    if (!health().ok) return;
    clearInterval(readiness);
    netd.ready(readyLine(inForce!, admin.address));
  }, READY_POLL_MS);

  return {
    factsChanged(next) {
      facts = next;
      schedule();
    },
    feedTlsChanged: (tls) => envoy?.secure(tls),
    dnsSockets: (sockets) => frontend.takeSockets(sockets, facts.descriptorChannel),
    async stop() {
      stopping.abort();
      clearInterval(readiness);
      clearTimeout(retry);
      frontend.close();
      sorryPage?.close();
      await Promise.all([admin.close(), workers.stop(), mappings.close(), envoy?.close()]);
      dns.close();
      await Promise.all([store.close(), journal?.close()]);
    },
  };
}

function readyLine(egress: EgressConfig, admin: string): string {
  const snat = egress.snat.kind === "pool" ? `pool:${egress.snat.name}` : egress.snat.kind;
  const dns46 = egress.dns?.subnet ?? "off";
  return `egress46 ready egress=${egress.namespace}/${egress.name} snat=${snat} dns46=${dns46} admin=${admin}`;
}
