import { isIP } from "node:net";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { LetterCaseMode } from "../dns/letter-case.ts";
import type { UpstreamOptions } from "../dns/upstream-options.ts";
import { Eg46Error } from "../errors.ts";

/** What commander makes of the options that {@link addDnsUpstreamOptions} adds. */
export interface DnsUpstreamFlags {
  readonly dnsTls?: string;
  readonly dnsTlsCa?: string;
  readonly dnsTcp?: boolean;
  readonly dns0x20: LetterCaseMode;
}

export function addDnsUpstreamOptions(command: Command): Command {
  return command
    .option(
      "--dns-tls <name>",
      "ask all dnsNat46PoolIps by TLS only (DoT, port 853); their certificates must be for this name",
      parseName,
    )
    .option(
      "--dns-tls-ca <file>",
      "certificate authorities of --dns-tls in PEM form (default: the public ones)",
    )
    .option("--dns-tcp", "ask all dnsNat46PoolIps by TCP only: cheaper under load, and hard to forge")
    .addOption(
      new Option("--dns-0x20 <mode>", "random letter case in questions over UDP, against forged replies")
        .choices(["auto", "off"])
        .default("auto"),
    );
}

/** Throws EG46_USAGE where the flags contradict each other. */
export function dnsUpstreamsOf({ dnsTls, dnsTlsCa, dnsTcp, dns0x20 }: DnsUpstreamFlags): UpstreamOptions {
  if (dnsTlsCa !== undefined && dnsTls === undefined)
    throw new Eg46Error(
      "EG46_USAGE",
      "--dns-tls-ca needs --dns-tls NAME: without it no DNS upstream is asked by TLS",
    );
  if (dnsTcp && dnsTls !== undefined)
    throw new Eg46Error(
      "EG46_USAGE",
      "--dns-tcp and --dns-tls exclude each other: TLS has its own TCP port 853",
    );
  return { tlsName: dnsTls, tlsCaFile: dnsTlsCa, tcp: dnsTcp, letterCase: dns0x20 };
}

function parseName(text: string): string {
  const name = text.replace(/\.$/, "");
  const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;
  if (isIP(name) === 0 && !name.split(".").every((each) => label.test(each)))
    throw new InvalidArgumentError(
      "It must be the name in the servers' certificates, such as dns.quad9.net.",
    );
  return name;
}
