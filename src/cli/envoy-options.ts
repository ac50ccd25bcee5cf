import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseListenAddress } from "../admin/listen-address.ts";
import {
  type EnvoyOptions,
  envoyDefaults,
  feedAddress,
  loopbackAddress,
  type RedirectMode,
  redirectModes,
} from "../envoy/options.ts";
import { Eg46Error } from "../errors.ts";
import type { MappingFlags } from "./mapping-options.ts";

export interface EnvoyFlags {
  readonly dataPlane: "tun" | "envoy";
  readonly envoyDir?: string;
  readonly envoyAdmin: string;
  readonly envoyFeed: string;
  readonly envoyDns: string;
  readonly envoyRedirect: RedirectMode;
  readonly envoyAccessLog?: string;
  readonly envoyFeedCert?: string;
  readonly envoyFeedKey?: string;
  readonly envoyFeedCa?: string;
}

export function addEnvoyOptions(command: Command): Command {
  return addEnvoyFileOptions(
    command
      .addOption(
        new Option("--data-plane <which>", "what carries Pods' traffic")
          .choices(["tun", "envoy"])
          .default("tun"),
      )
      .option("--envoy-dir <dir>", "where Envoy's files are written and kept current"),
  );
}

/** What `envoy-config` has in common with `run`. */
export function addEnvoyFileOptions(command: Command): Command {
  return command
    .option("--envoy-admin <host:port>", "Envoy's admin address", envoyDefaults.admin)
    .option("--envoy-feed <host:port>", "where the gateway serves mappings to Envoy", envoyDefaults.feed)
    .option("--envoy-feed-cert <file>", "certificate that this host shows at the feed (mutual TLS)")
    .option("--envoy-feed-key <file>", "its private key")
    .option("--envoy-feed-ca <file>", "authority of the other side's certificate")
    .option("--envoy-dns <host:port>", "where the gateway serves DNS to Envoy", envoyDefaults.dns)
    .addOption(
      new Option("--envoy-redirect <how>", "how connections reach Envoy; tproxy needs CAP_NET_ADMIN for it")
        .choices(redirectModes)
        .default(envoyDefaults.redirect),
    )
    .option("--envoy-access-log <file>", "where Envoy writes a line for each connection (default: nowhere)");
}

export const envoyHelp = `
With --data-plane envoy --envoy-dir DIR there is no TUN: Pods' connections are redirected to an Envoy, which
'envoy -c DIR/envoy.yaml' starts in the same network namespace. It carries TCP, and DNS; other traffic of Pods is refused.
`;

/** Undefined: the TUN devices carry the traffic. Throws EG46_USAGE. */
export function envoyOf(
  flags: EnvoyFlags & Partial<Pick<MappingFlags, "mappingLease">>,
): EnvoyOptions | undefined {
  if (flags.dataPlane !== "envoy") {
    if (flags.envoyDir !== undefined)
      throw new Eg46Error("EG46_USAGE", "--envoy-dir has a meaning with --data-plane envoy only");
    return undefined;
  }
  if (flags.envoyDir === undefined)
    throw new Eg46Error(
      "EG46_USAGE",
      "--data-plane envoy needs --envoy-dir DIR, where Envoy's files are written",
    );
  if ((flags.mappingLease ?? 0) > 0)
    throw new Eg46Error(
      "EG46_USAGE",
      "--mapping-lease needs to know which mappings are in use, which Envoy doesn't tell; leave it off with --data-plane envoy",
    );
  return envoyOptions(flags, flags.envoyDir);
}

function tlsOf({ envoyFeedCert: cert, envoyFeedKey: key, envoyFeedCa: ca }: Omit<EnvoyFlags, "dataPlane">) {
  if (cert === undefined && key === undefined && ca === undefined) return {};
  if (cert === undefined || key === undefined || ca === undefined)
    throw new Eg46Error("EG46_USAGE", "--envoy-feed-cert, --envoy-feed-key and --envoy-feed-ca go together");
  return { tls: { cert: resolve(cert), key: resolve(key), ca: resolve(ca) } };
}

export function envoyOptions(flags: Omit<EnvoyFlags, "dataPlane">, dir: string): EnvoyOptions {
  parseListenAddress(flags.envoyAdmin);
  loopbackAddress("--envoy-dns", flags.envoyDns);
  const options: EnvoyOptions = {
    dir: resolve(dir),
    admin: flags.envoyAdmin,
    feed: flags.envoyFeed,
    dns: flags.envoyDns,
    redirect: flags.envoyRedirect,
    proxyPort: envoyDefaults.proxyPort,
    dnsPort: envoyDefaults.dnsPort,
    ...(flags.envoyAccessLog !== undefined && { accessLog: resolve(flags.envoyAccessLog) }),
    ...tlsOf(flags),
  };
  feedAddress(options);
  return options;
}
