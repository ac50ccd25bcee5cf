import { type Command, InvalidArgumentError } from "commander";
import { defaultSizes, type EngineSizes } from "../engine/engine.ts";
import type { EngineLimits, EngineOptions } from "../engine/options.ts";

/** Seconds; below `least` an RFC is not kept, which is the operator's to decide. */
interface Time {
  readonly field: Exclude<keyof EngineLimits, "podSessions">;
  readonly standard: number;
  readonly least?: number;
  readonly clause?: string;
}

const timeouts: Readonly<Record<string, Time>> = {
  udp: { field: "udpMs", standard: 300, least: 120, clause: "RFC 4787 REQ-5" },
  tcp: { field: "tcpEstablishedMs", standard: 7440, least: 7440, clause: "RFC 5382 REQ-5" },
  "tcp-transitory": { field: "tcpTransitoryMs", standard: 240, least: 240, clause: "RFC 5382 REQ-5" },
  "tcp-syn": { field: "tcpSynMs", standard: 6 },
  icmp: { field: "icmpMs", standard: 60, least: 60, clause: "RFC 5508 REQ-2" },
};
const holdDown: Time = { field: "holdDownMs", standard: 120, least: 120, clause: "RFC 6888 REQ-8" };
/** The engine compares times of at most 2³¹ ms. */
const longest = 1_000_000;
const names = Object.keys(timeouts).join(", ");

/** What commander makes of the options that {@link addSessionOptions} adds. */
export interface SessionFlags {
  readonly sessionTimeout?: ReadonlyMap<string, number>;
  readonly holdDown: number;
  readonly maxSessions: number;
  readonly maxMappings: number;
  readonly podSessions: number;
}

export function addSessionOptions(command: Command): Command {
  const standards = Object.entries(timeouts).map(([name, { standard }]) => `${name}=${standard}`);
  return command
    .option(
      "--session-timeout <name=seconds...>",
      `idle time after which a session ends (default: ${standards.join(" ")})`,
      parseTimeout,
    )
    .option(
      "--hold-down <seconds>",
      "how long a UDP port or ICMP identifier rests before another binding has it",
      number(0, longest),
      holdDown.standard,
    )
    .option(
      "--max-sessions <n>",
      "sessions that a worker has room for",
      number(64, 0xffff_ffff),
      defaultSizes.maxSessions,
    )
    .option(
      "--max-mappings <n>",
      "DNS46 mappings that a worker has room for",
      number(1, 0xffff_ffff),
      defaultSizes.maxMappings,
    )
    .option(
      "--pod-sessions <n>",
      "sessions that a Pod may have, for each of its addresses; 0 = any number",
      number(0, 0xffff_ffff),
      0,
    );
}

export const sessionHelp = `
Times of sessions, in seconds (--session-timeout; a shorter one than its RFC wants is warned of):
  udp             no datagram from either side (RFC 4787: at least 120)
  tcp             an established connection without a segment (RFC 5382: at least 7440)
  tcp-transitory  after FINs of both sides or a RST (RFC 5382: at least 240)
  tcp-syn         a SYN that gets no answer
  icmp            a ping without a request or reply (RFC 5508: at least 60)
`;

/** Names as given → what the engine gets. */
export function engineOptions(flags: SessionFlags): EngineOptions {
  const { sessionTimeout = new Map(), maxSessions, maxMappings, podSessions } = flags;
  const times = [...sessionTimeout].map(([name, seconds]) => [timeouts[name]!.field, seconds * 1000]);
  const sizes: EngineSizes = { maxSessions, maxMappings };
  const limits: EngineLimits = {
    ...Object.fromEntries(times),
    holdDownMs: flags.holdDown * 1000,
    podSessions,
  };
  return { sizes, limits };
}

/** One line for each time that is shorter than an RFC wants. */
export function shortTimes({ sessionTimeout = new Map(), holdDown: rest }: SessionFlags): string[] {
  const given = [
    ...[...sessionTimeout].map(
      ([name, seconds]) => [`--session-timeout ${name}=${seconds}`, timeouts[name]!, seconds] as const,
    ),
    [`--hold-down ${rest}`, holdDown, rest] as const,
  ];
  return given
    .filter(([, { least = 0 }, seconds]) => seconds < least)
    .map(
      ([option, { least, clause, field }]) =>
        `${option}: less than the ${least} s of ${clause}: ${
          field === "holdDownMs"
            ? "late packets of an old flow may reach a new one"
            : "flows that are only quiet may break"
        }`,
    );
}

function parseTimeout(text: string, before: ReadonlyMap<string, number> = new Map()): Map<string, number> {
  const [, name = "", seconds = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (!Object.hasOwn(timeouts, name))
    throw new InvalidArgumentError(`It must be NAME=SECONDS; the names are ${names}.`);
  if (before.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
  return new Map([...before, [name, number(1, longest)(seconds)]]);
}

function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}
