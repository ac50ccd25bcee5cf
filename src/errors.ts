/**
 * Every error that egress46 raises on purpose has a code in this table: what it means for traffic and what to
 * do about it. docs/errors.md is written out of it (tools/gen-docs.ts), so an operator can look a code up.
 */
export const errorCatalog = {
  EG46_USAGE: {
    title: "The command line is incomplete or contradictory",
    traffic: "Nothing was started or changed.",
    remedy: "Read the message and `egress46 COMMAND --help`.",
  },
  EG46_PREREQUISITE: {
    title: "The machine lacks something the gateway needs",
    traffic: "Nothing was started; traffic is as it was before.",
    remedy: "Install or allow what the message names (root, /dev/net/tun, the ip and nft commands).",
  },
  EG46_INTERFACE: {
    title: "A network interface that was named does not exist",
    traffic: "Nothing was started; traffic is as it was before.",
    remedy: "Check --internal and --external against `ip -brief link` in the gateway's network namespace.",
  },
  EG46_ALREADY_RUNNING: {
    title: "Another gateway runs in this network namespace",
    traffic: "The other gateway goes on; nothing of it was changed.",
    remedy: "Stop it first (`egress46 status` asks it), or start this one in a network namespace of its own.",
  },
  EG46_HOST_NETWORK: {
    title: "A change to the host's network configuration failed",
    traffic: "Steps already made by this run are undone; Pods' traffic stays refused, never let by.",
    remedy: "The message quotes the command and the kernel's answer; mend that and start again.",
  },
  EG46_DNS_LISTEN: {
    title: "DNS cannot be served on port 53 of the internal side",
    traffic:
      "The configuration before stays in force; without one Pods' traffic is refused. The gateway tries again by itself.",
    remedy:
      "Stop what holds the port (`ss -lnp 'sport = :53'` shows it), or bind it to addresses that Pods don't use.",
  },
  EG46_FEED_LISTEN: {
    title: "The feed for Envoy, or DNS for its listener, cannot be served",
    traffic: "The gateway does not start; what it had set up is undone.",
    remedy:
      "Stop what holds the address (`ss -lntup` shows it), or choose another one with --envoy-feed or --envoy-dns.",
  },
  EG46_ENVOY_DIR: {
    title: "The folder for Envoy's files cannot be written",
    traffic: "At start: nothing was started. While running: Envoy goes on with the files it has.",
    remedy: "Name by --envoy-dir (or --out) a folder that can be made or written.",
  },
  EG46_CONFIG_INVALID: {
    title: "A custom resource is malformed",
    traffic:
      "At start: the gateway does not start. While running: the last good configuration stays in force.",
    remedy: "The message names file, line, field and what was expected.",
  },
  EG46_STORE_UNAVAILABLE: {
    title: "The mapping store does not answer",
    traffic: "Mappings already known go on working; names that would need a new one get SERVFAIL.",
    remedy:
      "Check the --store URL, certificates and the server, or the folder and its free space; the gateway tries again by itself.",
  },
  EG46_STORE_CORRUPT: {
    title: "The file of the embedded mapping store is damaged",
    traffic: "At start: the gateway does not start; Pods' traffic is as it was before.",
    remedy:
      "Put the last copy of the file in its place; without one, move it away: the next start makes a new store, and hosts may get other addresses.",
  },
  EG46_STORE_FOLDER: {
    title: "The folder of the embedded mapping store cannot be used",
    traffic: "Nothing was started; traffic is as it was before.",
    remedy: "Name by --store lmdb:DIR a folder that is empty, holds a store, or can be made.",
  },
  EG46_STORE_VALUE: {
    title: "The mapping store holds a value that is not a mapping",
    traffic:
      "The address is treated as occupied and never overwritten; packets to it are dropped and counted.",
    remedy: "Inspect it with `egress46 mappings get ADDRESS`; delete the key (DEL) and add it again.",
  },
  EG46_SORRY_PAGE: {
    title: "The page for dnsNat46SorryIp cannot be served at its address",
    traffic: "Nothing was started; traffic is as it was before.",
    remedy: "Stop what holds the port (`ss -ltnp` shows it), or give --sorry-page another address or port.",
  },
  EG46_STORE_CERTIFICATES: {
    title: "New TLS files of the mapping store cannot be used",
    traffic: "None: connections to the store are made with the files before.",
    remedy: "Mend what the message names; the gateway looks again by itself.",
  },
  EG46_FEED_CERTIFICATES: {
    title: "New TLS files of the feed for Envoy cannot be used",
    traffic: "None: Envoys are served with the files before.",
    remedy: "Mend what the message names; the gateway looks again by itself.",
  },
  EG46_MAPPING_CONFLICT: {
    title: "An address that was given out is another host's in the store",
    traffic:
      "After a failover or an outage, or by somebody's SET. Sessions go on to the host before; new connections to the address reach the host that the store names. Names of the host before get another address.",
    remedy:
      "Clients forget the address within its TTL. Have claims wait for replicas (--redis-wait), and min-replicas-to-write on the servers; give each gateway with --mapping-journal its own --gateway-slice. By hand, give a host an address that nobody uses.",
  },
  EG46_UPSTREAM_UNAVAILABLE: {
    title: "No DNS upstream (dnsNat46PoolIps) answers",
    traffic: "Names get SERVFAIL; connections to addresses handed out before go on.",
    remedy:
      "Check that the gateway reaches the addresses on port 53, UDP and TCP, or with --dns-tls on port 853 (`egress46 status` says why not); it keeps trying by itself.",
  },
  EG46_MAPPING_EXISTS: {
    title: "The address has an entry already",
    traffic: "None: the entry is unchanged.",
    remedy: "To change it, `egress46 mappings rm ADDRESS` first, then add it again.",
  },
  EG46_MAPPING_ABSENT: {
    title: "The address has no entry",
    traffic: "None: only the command failed.",
    remedy: "Check the address and --store; `egress46 mappings ls` lists what is there.",
  },
  EG46_ADMIN_UNREACHABLE: {
    title: "No gateway answers in this network namespace",
    traffic: "None: only the command failed.",
    remedy: "Run the command in the gateway's network namespace, or name its --admin address.",
  },
  EG46_ADMIN_LISTEN: {
    title: "The admin API cannot listen on its address",
    traffic: "The gateway does not start; what it had set up is undone.",
    remedy: "Stop what holds the address (`ss -ltnp` shows it), or choose another one with --admin.",
  },
  EG46_ADMIN_REQUEST: {
    title: "The admin API does not know the request",
    traffic: "None: only the request failed.",
    remedy: "Check the path; a gateway of another version may lack it (`egress46 status` shows its version).",
  },
  EG46_ADMIN_BUSY: {
    title: "Too many readers follow the sessions",
    traffic: "None: only the request failed.",
    remedy: "End one of them (`egress46 sessions watch`, or a client of /v1/sessions/stream).",
  },
  EG46_CAPTURE_INVALID: {
    title: "A capture file is malformed, or cannot be read or written",
    traffic: "None: captures are files. Packets before the place that the message names were processed.",
    remedy:
      "Check the file at the offset named (`capinfos FILE`); if its last packet was cut off, the rest is whole.",
  },
  EG46_EAMT_INVALID: {
    title: "A table of explicit address mappings is malformed",
    traffic: "None: nothing was translated.",
    remedy: "The message names file and line, and what was expected.",
  },
  EG46_ENGINE: {
    title: "The packet engine stopped",
    traffic: "Refused until the worker is up again (fail closed).",
    remedy: "This is a bug: report the message with the gateway's log.",
  },
  EG46_INTERNAL: {
    title: "Something failed that is not meant to fail",
    traffic: "None, as far as known: only the request failed.",
    remedy: "This is a bug: report the message with the gateway's log.",
  },
} as const satisfies Record<string, { title: string; traffic: string; remedy: string }>;

export type ErrorCode = keyof typeof errorCatalog;

/** An error with a code out of {@link errorCatalog}. `message` says what happened, in one line. */
export class Eg46Error extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Eg46Error";
    this.code = code;
  }
}

export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof Eg46Error && error.code === code;
}

/** One operator-facing text: code, what happened, what it means for traffic, what to do. */
export function explain(error: unknown): string {
  if (!(error instanceof Eg46Error))
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  const { traffic, remedy } = errorCatalog[error.code];
  return `${error.code}: ${error.message}\n  traffic: ${traffic}\n  remedy:  ${remedy}`;
}
