import { type Command, InvalidArgumentError } from "commander";
import { isIpv4 } from "../addresses.ts";
import { parseListenAddress } from "../admin/listen-address.ts";
import { Eg46Error } from "../errors.ts";
import type { GatewaySlice } from "../mappings/journal.ts";
import { defaultLife } from "../mappings/keeper.ts";
import type { MappingOptions } from "../mappings/options.ts";

/** What commander makes of the options that {@link addMappingOptions} adds. */
export interface MappingFlags {
  readonly mappingLease: number;
  readonly mappingGrace: number;
  readonly mappingQuarantine: number;
  readonly mappingJournal?: string;
  readonly gatewaySlice?: GatewaySlice;
  readonly sorryPage?: string;
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
/** Below, renewing would be all that the store does. */
const shortestLease = 10;
/** The store's eight hex digits, and what PX takes after the other times are added. */
const longest = 0x7fff_ffff;

export function addMappingOptions(command: Command): Command {
  return command
    .option(
      "--mapping-lease <duration>",
      "how long a new mapping lives without being used, as 12h (s, m, h, d); off: indefinitely",
      parseLease,
      0,
    )
    .option(
      "--mapping-grace <duration>",
      "how long clients and their caches may use an answer beyond its TTL",
      parseDuration,
      defaultLife.graceMs / 1000,
    )
    .option(
      "--mapping-quarantine <duration>",
      "how long an address rests after its lease before another host has it",
      parseDuration,
      defaultLife.quarantineMs / 1000,
    )
    .option(
      "--mapping-journal <dir>",
      "make new mappings also while the store is away, out of this gateway's slice of the pool, noted in this folder",
    )
    .option("--gateway-slice <i/n>", "which of n slices of the pool that is (default: 1/1)", parseSlice)
    .option(
      "--sorry-page <address:port>",
      "serve a page there that says 'no address free': dnsNat46SorryIp and port 80",
      parseSorryPage,
    );
}

/** Throws EG46_USAGE where the flags contradict each other. */
export function mappingOptions(flags: MappingFlags): MappingOptions {
  const { mappingJournal: dir, gatewaySlice: slice, sorryPage } = flags;
  if (slice !== undefined && dir === undefined)
    throw new Eg46Error("EG46_USAGE", "--gateway-slice is about --mapping-journal, which is not given");
  return {
    life: {
      leaseMs: flags.mappingLease * 1000,
      graceMs: flags.mappingGrace * 1000,
      quarantineMs: flags.mappingQuarantine * 1000,
    },
    ...(dir !== undefined && { journal: { dir, slice: slice ?? { number: 1, count: 1 } } }),
    ...(sorryPage !== undefined && { sorryPage: parseListenAddress(sorryPage) }),
  };
}

/** Whole seconds of `90`, `90s`, `15m`, `12h` or `7d`. */
export function parseDuration(text: string): number {
  const [, digits, unit = "s"] = /^(\d{1,10})([smhd]?)$/.exec(text) ?? [];
  const seconds = Number(digits) * (units[unit || "s"] ?? 1);
  if (digits === undefined || seconds > longest)
    throw new InvalidArgumentError("It must be a time such as 90s, 15m, 12h or 7d.");
  return seconds;
}

function parseLease(text: string): number {
  const seconds = text === "off" ? 0 : parseDuration(text);
  if (text !== "off" && seconds < shortestLease)
    throw new InvalidArgumentError(`It must be at least ${shortestLease}s, or off.`);
  return seconds;
}

function parseSlice(text: string): GatewaySlice {
  const [, number, count] = /^(\d{1,4})\/(\d{1,4})$/.exec(text)?.map(Number) ?? [];
  if (number === undefined || count === undefined || number < 1 || number > count)
    throw new InvalidArgumentError("It must be such as 2/4: the second of four.");
  return { number, count };
}

function parseSorryPage(text: string): string {
  try {
    if (isIpv4(parseListenAddress(text).host)) return text;
  } catch {}
  throw new InvalidArgumentError("It must be an IPv4 address and a port, such as 10.244.40.100:80.");
}
