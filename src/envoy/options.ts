import { type ListenAddress, parseListenAddress } from "../admin/listen-address.ts";
import { Eg46Error } from "../errors.ts";

/** How Pods' connections reach Envoy's listeners: rewritten with connection tracking, or as they are (TPROXY). */
export const redirectModes = ["redirect", "tproxy"] as const;
export type RedirectMode = (typeof redirectModes)[number];

/** What the host, the gateway and Envoy must agree on when Envoy is the data plane. Plain data. */
export interface EnvoyOptions {
  /** Absolute; Envoy reads its files there. */
  readonly dir: string;
  /** Envoy's admin. */
  readonly admin: string;
  /** Where the gateway serves the feed, and where DNS for Envoy's listener. */
  readonly feed: string;
  readonly dns: string;
  readonly redirect: RedirectMode;
  /** Envoy's listeners: TCP connections of Pods, and their DNS. */
  readonly proxyPort: number;
  readonly dnsPort: number;
  /** Where Envoy writes a line for each connection. Default: nowhere. */
  readonly accessLog?: string | undefined;
  /** PEM files of this host, for the feed: both ends show a certificate of the authority. Default: no TLS. */
  readonly tls?: FeedTlsFiles | undefined;
}

export interface FeedTlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export const envoyDefaults = {
  admin: "127.0.0.1:9901",
  feed: "127.0.0.1:9047",
  dns: "127.0.0.1:9053",
  redirect: "redirect",
  proxyPort: 15001,
  dnsPort: 15053,
} as const satisfies Partial<EnvoyOptions>;

/** Throws EG46_USAGE for an address that others reach, unless they must show a certificate. */
export function feedAddress({ feed, tls }: EnvoyOptions): ListenAddress {
  return tls === undefined ? loopbackAddress("--envoy-feed", feed) : parseListenAddress(feed);
}

/** The feed tells who has which mapping, and is not encrypted. Throws EG46_USAGE for an address that others reach. */
export function loopbackAddress(option: string, text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (/^127\.\d+\.\d+\.\d+$/.test(address.host) || address.host === "::1") return address;
  throw new Eg46Error(
    "EG46_USAGE",
    `${option} ${text}: it must be a loopback address such as 127.0.0.1 or [::1]${option === "--envoy-feed" ? ", unless --envoy-feed-cert, -key and -ca are given" : ""}`,
  );
}
