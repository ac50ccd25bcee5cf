/** What the operator sets about DNS46 beyond the CRs (src/cli/dns-options.ts), and what is made of it for each question. */
import { cidrContains, ipv6ToBytes, parseCidr } from "../addresses.ts";
import { hasPrefix, isRemoteHost } from "../remote-host.ts";
import { foldOctet, textToName } from "./name.ts";

export const queryLogModes = ["off", "all", "dns46"] as const;
export type QueryLogMode = (typeof queryLogModes)[number];

/** Plain data: it travels from the command to the gateway process. */
export interface DnsPolicy {
  /** IPv6 prefixes whose hosts get no address. `::ffff:0:0/96` and what is no remote host never do. */
  readonly excludeHosts: readonly string[];
  /** Prefixes of clients that get every reply as it is. */
  readonly excludeClients: readonly string[];
  /** Names that get no address, with all names below them. */
  readonly excludeNames: readonly string[];
  /** Answer a client that sets DO also where the upstream's answers are signed. */
  readonly breakDnssec: boolean;
  /** Each costs a mapping. */
  readonly maxHosts: number;
  /** both: the new A and the original AAAA, as the specification says; a: the new A alone. */
  readonly answer: "both" | "a";
  /** The new A is added to replies to AAAA questions, too. */
  readonly addToAaaa: boolean;
  readonly log: QueryLogMode;
}

export const defaultPolicy: DnsPolicy = {
  excludeHosts: [],
  excludeClients: [],
  excludeNames: [],
  breakDnssec: false,
  maxHosts: 8,
  answer: "both",
  addToAaaa: false,
  log: "off",
};

/** A policy made ready to be asked. */
export interface Rules extends Pick<DnsPolicy, "breakDnssec" | "maxHosts" | "answer" | "addToAaaa"> {
  /** 16 bytes in wire order. */
  mayMap(host: Uint8Array): boolean;
  /** An address as text. */
  excludesClient: ((client: string) => boolean) | undefined;
  /** A wire name that starts at `start`, uncompressed. */
  excludesName: ((bytes: Uint8Array, start: number) => boolean) | undefined;
}

/** Throws TypeError on a prefix or name that is none. */
export function rulesOf(policy: DnsPolicy = defaultPolicy): Rules {
  const { breakDnssec, maxHosts, answer, addToAaaa } = policy;
  const hosts = policy.excludeHosts.map((text) => {
    const { network, prefixLength } = parseCidr(text);
    return { prefix: ipv6ToBytes(network), bits: prefixLength };
  });
  const clients = policy.excludeClients.map(parseCidr);
  const names = new Set(policy.excludeNames.map((text) => fold(textToName(text), 0)));
  return {
    ...{ breakDnssec, maxHosts, answer, addToAaaa },
    mayMap: (host) => isRemoteHost(host) && !hosts.some(({ prefix, bits }) => hasPrefix(host, prefix, bits)),
    excludesClient:
      clients.length === 0 ? undefined : (client) => clients.some((cidr) => cidrContains(cidr, client)),
    excludesName: names.size === 0 ? undefined : (bytes, start) => holds(names, bytes, start),
  };
}

/** The name itself or one that it lies below. */
function holds(names: ReadonlySet<string>, bytes: Uint8Array, start: number): boolean {
  for (let offset = start; ; offset += 1 + bytes[offset]!) {
    if (names.has(fold(bytes, offset))) return true;
    if (bytes[offset] === 0) return false;
  }
}

/** Up to the root label. */
function fold(bytes: Uint8Array, start: number): string {
  let folded = "";
  for (let offset = start; ; ) {
    const next = offset + 1 + bytes[offset]!;
    const last = bytes[offset] === 0;
    while (offset < next) folded += String.fromCharCode(foldOctet(bytes[offset++]!));
    if (last) return folded;
  }
}
