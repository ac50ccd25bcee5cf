import { type Command, InvalidArgumentError, Option } from "commander";
import { canonicalCidrs, parseCidr } from "../addresses.ts";
import { textToName } from "../dns/name.ts";
import { type DnsPolicy, defaultPolicy, type QueryLogMode, queryLogModes } from "../dns/policy.ts";
import { Eg46Error } from "../errors.ts";

/** What commander makes of the options that {@link addDnsOptions} adds. */
export interface DnsFlags {
  readonly dns46ExcludeHost?: readonly string[];
  readonly dns46ExcludeClient?: readonly string[];
  readonly dns46ExcludeName?: readonly string[];
  readonly dns46BreakDnssec?: boolean;
  readonly dns46MaxHosts: number;
  readonly dns46Answer: DnsPolicy["answer"];
  readonly dns46AddToAaaa?: boolean;
  readonly dnsLog: QueryLogMode;
}

/** A DNS message has no room for more. */
const mostHosts = 64;

export const dnsHelp = `
DNS46: a name whose reply has AAAA records alone gets an A record for each host, up to --dns46-max-hosts, but not for hosts,
clients and names that are excluded. Signed answers stay as they are where the client wants signatures (DO), unless
--dns46-break-dnssec; a client that validates by itself (DO and CD) never gets an address. --dns-log dns46 logs each answer
that DNS46 made, all every question, at most 1000 a second.
`;

export function addDnsOptions(command: Command): Command {
  const { maxHosts, answer, log } = defaultPolicy;
  return command
    .option("--dns46-exclude-host <cidr...>", "IPv6 hosts that get no A record; ::ffff:0:0/96 never does")
    .option("--dns46-exclude-client <cidr...>", "clients that get every reply as the upstream gave it")
    .option("--dns46-exclude-name <name...>", "names that get no A record, with all names below them")
    .option("--dns46-break-dnssec", "make A records also of signed answers to clients that set DO")
    .option("--dns46-max-hosts <n>", "A records a name gets, each with a mapping", parseHosts, maxHosts)
    .addOption(
      new Option("--dns46-answer <what>", "the new A and the original AAAA, or the new A alone")
        .choices(["both", "a"])
        .default(answer),
    )
    .option("--dns46-add-to-aaaa", "add the new A to replies to AAAA questions, too")
    .addOption(
      new Option("--dns-log <what>", "log DNS questions: none, all, or those that DNS46 answers")
        .choices(queryLogModes)
        .default(log),
    );
}

/** Throws EG46_USAGE on a prefix or name that is none. */
export function dnsPolicyOf(flags: DnsFlags): DnsPolicy {
  return {
    excludeHosts: prefixes("--dns46-exclude-host", flags.dns46ExcludeHost, 6),
    excludeClients: prefixes("--dns46-exclude-client", flags.dns46ExcludeClient),
    excludeNames: (flags.dns46ExcludeName ?? []).map(checkedName),
    breakDnssec: flags.dns46BreakDnssec ?? false,
    maxHosts: flags.dns46MaxHosts,
    answer: flags.dns46Answer,
    addToAaaa: flags.dns46AddToAaaa ?? false,
    log: flags.dnsLog,
  };
}

function prefixes(option: string, texts: readonly string[] = [], family?: 6): string[] {
  try {
    const cidrs = canonicalCidrs(texts);
    const other = family && cidrs.find((text) => parseCidr(text).family !== family);
    if (other !== undefined) throw new TypeError(`'${other}' is not an IPv6 prefix such as 2001:db8::/32`);
    return cidrs;
  } catch (cause) {
    throw new Eg46Error("EG46_USAGE", `${option}: ${(cause as Error).message}`, { cause });
  }
}

function checkedName(text: string): string {
  try {
    textToName(text);
  } catch (cause) {
    throw new Eg46Error("EG46_USAGE", `--dns46-exclude-name: ${(cause as Error).message}`, { cause });
  }
  return text;
}

function parseHosts(text: string): number {
  const hosts = Number(text);
  if (!/^\d+$/.test(text) || hosts < 1 || hosts > mostHosts)
    throw new InvalidArgumentError(`It must be a number from 1 to ${mostHosts}.`);
  return hosts;
}
