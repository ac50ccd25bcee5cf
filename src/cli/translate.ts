import { readFileSync, statSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { isIpv4 } from "../addresses.ts";
import { dropReasons } from "../engine/layout.gen.ts";
import { Eg46Error } from "../errors.ts";
import { type CaptureSummary, emptySummary, translateCapture } from "../translate/capture.ts";
import { type Eam, parseEamt } from "../translate/eamt.ts";
import { parsePool6 } from "../translate/pool6.ts";
import { createTranslator } from "../translate/translator.ts";
import { formatDrops, sortDrops } from "./drops.ts";
import { outputOption, print, printJson } from "./output.ts";

interface TranslateFlags {
  readonly eamt: string;
  readonly pool6?: string;
  readonly pool6791v4?: string;
  readonly mtu4: number;
  readonly mtu6: number;
  readonly lowestIpv6Mtu: number;
  readonly output: string;
}

export function registerTranslate(program: Command): void {
  program
    .command("translate <in> <out>")
    .description("translate a capture file (pcap, pcapng) between IPv4 and IPv6, without state")
    .requiredOption("--eamt <file>", "explicit address mappings (RFC 7757): IPv4-prefix IPv6-prefix a line")
    .option("--pool6 <prefix>", "IPv6 prefix for all other IPv4 addresses (RFC 6052)", checkedPool6)
    .option(
      "--pool6791v4 <address>",
      "the translator's IPv4 address, for ICMP errors (RFC 6791)",
      checkedIpv4,
    )
    .option("--mtu4 <bytes>", "MTU of the IPv4 side", mtu(68), 1500)
    .option("--mtu6 <bytes>", "MTU of the IPv6 side", mtu(1280), 1500)
    .option("--lowest-ipv6-mtu <bytes>", "IPv6 packets that need it are fragmented to this", mtu(1280), 1280)
    .addOption(outputOption())
    .action(async (input: string, output: string, flags: TranslateFlags) => {
      if (sameFile(input, output))
        throw new Eg46Error("EG46_USAGE", `${input} and ${output} are one file: the result needs another`);
      const translator = await createTranslator({ ...flags, eams: readEamt(flags.eamt) });
      const summary = emptySummary();
      const progress = progressLine(summary);
      try {
        await translateCapture(input, output, translator, summary, progress.show);
      } finally {
        progress.clear();
        if (summary.packets > 0 || flags.output === "json") report(summary, flags.output);
      }
    });
}

function readEamt(file: string): readonly Eam[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Eg46Error("EG46_EAMT_INVALID", `${file}: cannot be read: ${(error as Error).message}`);
  }
  return parseEamt(text, file);
}

/** The writer empties its file when it opens it. */
function sameFile(input: string, output: string): boolean {
  const [a, b] = [input, output].map((path) => statSync(path, { throwIfNoEntry: false }));
  return a?.isFile() === true && a.dev === b?.dev && a.ino === b.ino;
}

function report(summary: CaptureSummary, format: string): void {
  if (format === "json") {
    printJson(summary);
    return;
  }
  const { packets, translated, written, icmpErrors, truncated, notIp, drops } = summary;
  const rows = dropReasons.map(({ name, description }) => ({
    reason: name,
    count: drops[name] ?? 0,
    description,
  }));
  const dropped = sortDrops(rows, false);
  const lines = [
    `packets     ${packets}`,
    `translated  ${translated}`,
    `dropped     ${dropped.reduce((sum, { count }) => sum + count, 0)}`,
    `truncated   ${truncated}   captured in part only, not translated`,
    `not IP      ${notIp}`,
    `written     ${written}, ${icmpErrors} of them ICMP errors to senders`,
  ];
  print(dropped.length === 0 ? lines.join("\n") : [...lines, "", formatDrops(dropped)].join("\n"));
}

/** On a terminal, at most twice a second. */
function progressLine(summary: CaptureSummary): { show(): void; clear(): void } {
  if (!process.stderr.isTTY) return { show: () => {}, clear: () => {} };
  let next = Date.now() + 1000;
  let shown = false;
  return {
    show() {
      if (Date.now() < next) return;
      next = Date.now() + 500;
      shown = true;
      process.stderr.write(`\r${summary.packets} packets`);
    },
    clear() {
      if (shown) process.stderr.write("\r\u001b[K");
    },
  };
}

function mtu(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= 65535) return value;
    throw new InvalidArgumentError(`It must be a number from ${least} to 65535.`);
  };
}

function checkedPool6(text: string): string {
  try {
    parsePool6(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return text;
}

function checkedIpv4(text: string): string {
  if (!isIpv4(text)) throw new InvalidArgumentError("It must be an IPv4 address.");
  return text;
}
