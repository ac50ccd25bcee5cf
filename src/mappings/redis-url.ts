import { Eg46Error } from "../errors.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** What a --store URL of Redis says. */
export interface RedisPlace {
  readonly kind: "single" | "sentinel" | "cluster";
  /** The URL without credentials. */
  readonly name: string;
  readonly secure: boolean;
  /** The server, the sentinels, or some nodes of the cluster. */
  readonly hosts: readonly Endpoint[];
  /** For the servers, not for sentinels. */
  readonly login: Credentials & { readonly db: number };
  /** The name under which the sentinels watch the primary; empty unless there are sentinels. */
  readonly primary: string;
  readonly sentinelLogin: Credentials;
}

/** For help texts and errors. */
export const redisForms =
  "redis://HOST, redis+sentinel://HOST,HOST/PRIMARY, redis+cluster://HOST,HOST (rediss… for TLS)";

const form = /^(redis|rediss)(?:\+(sentinel|cluster))?:\/\/([^/?#]*)(\/[^?#]*)?(\?[^#]*)?(#.*)?$/s;
const sentinelPort = 26379;
const serverPort = 6379;

/**
 * `redis://[user[:password]@]host[:port][/db]`; `redis+sentinel://[…@]host[:port],host…/primary[/db]`, whose credentials are
 * the servers', with `?sentinel-user=…&sentinel-password=…` for the sentinels themselves;
 * `redis+cluster://[…@]host[:port],host…`. `rediss` = TLS to all of them. Throws EG46_USAGE, without any credentials.
 */
export function parseRedisUrl(spec: string): RedisPlace {
  const [, scheme, suffix, authority = "", path = "", query = "", hash] = form.exec(spec) ?? [];
  if (scheme === undefined)
    throw usage(`--store '${withoutCredentials(spec)}' is none of lmdb:DIR, ${redisForms}`);
  const protocol = `${scheme}${suffix === undefined ? "" : `+${suffix}`}:`;
  // The rest of a password, most likely; nothing of it may show.
  if (`${path}${query}${hash}`.includes("@"))
    throw usage(
      `--store ${protocol}//…: write '/', '?', '#' in a password as %2F, %3F, %23, and '@' behind the hosts as %40`,
    );
  const kind = suffix === "sentinel" || suffix === "cluster" ? suffix : "single";
  const at = authority.lastIndexOf("@");
  const list = authority.slice(at + 1);
  const name = `${protocol}//${list}${path}`;
  const hosts = list.split(",").map((text) => endpoint(text, kind, name));
  if (kind === "single" && hosts.length > 1)
    throw usage(`--store ${name}: several hosts need redis+sentinel:// or redis+cluster://`);
  if (hash !== undefined || (query !== "" && kind !== "sentinel"))
    throw usage(
      `--store ${name}: nothing may follow ${kind === "cluster" ? "the hosts" : "the database number"}`,
    );
  return {
    kind,
    name,
    secure: scheme === "rediss",
    hosts,
    ...places(kind, path, credentials(authority.slice(0, Math.max(at, 0)), name), name),
    sentinelLogin: sentinelCredentials(query, name),
  };
}

/** For messages about a text that could not be parsed. */
export function withoutCredentials(spec: string): string {
  return spec.replace(/\/\/.*@/s, "//").replace(/\?.*$/s, "");
}

function places(
  kind: RedisPlace["kind"],
  path: string,
  login: Credentials,
  name: string,
): Pick<RedisPlace, "login" | "primary"> {
  const parts = path.split("/").slice(1);
  if (parts.at(-1) === "") parts.pop();
  const [primary, number = "0"] = kind === "sentinel" ? [parts.shift(), parts.shift()] : ["", parts.shift()];
  if (primary === undefined)
    throw usage(`--store ${name} lacks the name of the primary, as in redis+sentinel://host/mymaster`);
  if (!/^\d{1,5}$/.test(number)) throw usage(`--store ${name}: '${number}' is not a database number`);
  if (parts.length > 0) throw usage(`--store ${name}: nothing may follow the database number`);
  if (kind === "cluster" && number !== "0") throw usage(`--store ${name}: a cluster has only database 0`);
  return { login: { ...login, db: Number(number) }, primary: decode(primary, name) };
}

function endpoint(text: string, kind: RedisPlace["kind"], name: string): Endpoint {
  if (text === "" || text.startsWith(":")) throw usage(`--store ${name} lacks a host`);
  // Node's parser knows the forms of hosts; of a scheme that it knows it would also know a default port.
  const url = URL.canParse(`redis://${text}`) ? new URL(`redis://${text}`) : undefined;
  if (url === undefined || url.port === "0")
    throw usage(`--store ${name}: '${text}' is not HOST or HOST:PORT`);
  const port = kind === "sentinel" ? sentinelPort : serverPort;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? port : Number(url.port),
  };
}

function credentials(text: string, name: string): Credentials {
  const [username = "", ...rest] = text.split(":");
  return { username: word(username, name), password: word(rest.join(":"), name) };
}

function sentinelCredentials(query: string, name: string): Credentials {
  const found: { username?: string | undefined; password?: string | undefined } = {};
  for (const pair of query.slice(1).split("&").filter(Boolean)) {
    const [key = "", ...rest] = pair.split("=");
    const value = word(rest.join("="), name);
    if (key === "sentinel-user") found.username = value;
    else if (key === "sentinel-password") found.password = value;
    else throw usage(`--store ${name}: only sentinel-user and sentinel-password may follow '?'`);
  }
  return found;
}

function word(text: string, name: string): string | undefined {
  return text === "" ? undefined : decode(text, name);
}

function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw usage(`--store ${name} holds a '%' that is not followed by two hex digits (write %25)`);
  }
}

function usage(message: string): Eg46Error {
  return new Eg46Error("EG46_USAGE", message);
}
