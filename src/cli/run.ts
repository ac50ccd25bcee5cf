import { type Command, Option } from "commander";
import { defaultAdmin, parseListenAddress } from "../admin/listen-address.ts";
import { checkSizes } from "../engine/options.ts";
import { createLogger, type LogLevel, logLevels } from "../log.ts";
import { defaultStore } from "../mappings/default-store.ts";
import { checkStore } from "../mappings/open.ts";
import type { RedisWait } from "../mappings/redis-replication.ts";
import { redisForms } from "../mappings/redis-url.ts";
import { runNetd } from "../netd/main.ts";
import {
  type BehaviourFlags,
  behaviourHelp,
  behaviourOf,
  eifOption,
  eimOption,
  portBlockOption,
} from "./behaviour-options.ts";
import { type DnsCacheFlags, dnsCacheOption } from "./dns-cache-option.ts";
import { addDnsOptions, type DnsFlags, dnsHelp, dnsPolicyOf } from "./dns-options.ts";
import { addDnsUpstreamOptions, type DnsUpstreamFlags, dnsUpstreamsOf } from "./dns-upstream-options.ts";
import { blockNets, internalNets, parseWorkers } from "./network-options.ts";
import { redisHelp, redisWaitOption } from "./redis-options.ts";
import {
  addSessionOptions,
  engineOptions,
  type SessionFlags,
  sessionHelp,
  shortTimes,
} from "./session-options.ts";

interface RunFlags extends SessionFlags, BehaviourFlags, DnsFlags, DnsCacheFlags, DnsUpstreamFlags {
  readonly file: string[];
  readonly internal?: string[];
  readonly internalNet?: string[];
  readonly external?: string[];
  readonly store?: string;
  readonly redisCert?: string;
  readonly redisKey?: string;
  readonly redisCa?: string;
  readonly redisWait: RedisWait;
  readonly workers: number;
  readonly admin: string;
  readonly logLevel: LogLevel;
  readonly cleanup?: boolean;
}

const help = `
Examples:
  Pods are behind eth1, the world behind eth0:
    egress46 run -f egress.yaml --internal eth1 --external eth0
  One interface for both; Pods are told by their addresses:
    egress46 run -f crs/ --internal-net 10.244.0.0/16
  Mappings shared by several gateways:
    egress46 run -f crs/ --internal eth1 --store rediss://dssm:6379 --redis-ca ca.crt --redis-cert tls.crt --redis-key tls.key

Prints 'egress46 ready …' once packets and DNS are served. Needs root (or CAP_NET_ADMIN) for TUN, routes and nft; packets
and DNS are handled by a process without privileges. After a stop or crash Pods' traffic stays refused until the next
start; --cleanup opens the host again at the stop. Sysctls that were set (each is logged) stay in either case.`;

export function registerRun(program: Command): void {
  const command = program
    .command("run")
    .description("be the egress gateway of this network namespace")
    .requiredOption(
      "-f, --file <path...>",
      "CRs: YAML files, or directories whose .yaml and .yml files are read and watched",
    )
    .option(
      "--internal <interface...>",
      "where Pods' traffic comes in (default: what leads to --internal-net)",
    )
    .option(
      "--internal-net <cidr...>",
      "Pods' sources (default: all networks on and behind the internal interfaces)",
    )
    .option("--external <interface...>", "the way out (default: the interfaces of the default routes)")
    .option(
      "--store <url>",
      `mappings: lmdb:DIR, ${redisForms} (default: an LMDB folder in /var/lib/egress46)`,
    )
    .addOption(redisWaitOption())
    .option("--redis-cert <file>", "client certificate for rediss:")
    .option("--redis-key <file>", "its private key")
    .option("--redis-ca <file>", "certificate authority of the Redis server")
    .option("--workers <n>", "packet workers, a TUN device each", parseWorkers, 1)
    .addOption(eimOption())
    .addOption(eifOption())
    .addOption(portBlockOption())
    .addOption(dnsCacheOption());
  addDnsUpstreamOptions(addDnsOptions(command));
  addSessionOptions(command)
    .option("--admin <host:port>", "where API, health and metrics are served", parseAdmin, defaultAdmin)
    .addOption(
      new Option("--log-level <level>", "what to log on standard error").choices(logLevels).default("info"),
    )
    .option(
      "--cleanup",
      "remove rules, routes, devices and the guard at a stop: Pods' traffic is no longer refused",
    )
    .addHelpText("after", behaviourHelp + dnsHelp + sessionHelp + redisHelp + help)
    .action(async (flags: RunFlags) => {
      const { redisCert, redisKey, redisCa, store = defaultStore() } = flags;
      checkStore({ spec: store, redisCert, redisKey, redisCa });
      const { sizes, limits } = engineOptions(flags);
      const engine = { limits, sizes: { ...sizes, dnsCache: flags.dnsCache } };
      const behaviour = behaviourOf(flags);
      const dnsPolicy = dnsPolicyOf(flags);
      const dnsUpstreams = dnsUpstreamsOf(flags);
      const nets = (behaviour.portBlock > 0 ? blockNets : internalNets)(flags.internalNet);
      await checkSizes(engine.sizes);
      const log = createLogger(flags.logLevel);
      for (const warning of shortTimes(flags)) log.warn(warning);
      const code = await runNetd(
        {
          topology: {
            internal: flags.internal ?? [],
            internalNets: nets,
            external: flags.external ?? [],
          },
          cleanup: flags.cleanup ?? false,
          gateway: {
            files: flags.file,
            ...{ store, redisCert, redisKey, redisCa, redisWait: flags.redisWait },
            workers: flags.workers,
            engine,
            behaviour,
            dnsPolicy,
            dnsUpstreams,
            admin: flags.admin,
            logLevel: flags.logLevel,
          },
        },
        log,
      );
      process.exit(code);
    });
}

function parseAdmin(text: string): string {
  parseListenAddress(text);
  return text;
}
