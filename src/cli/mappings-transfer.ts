import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { Eg46Error } from "../errors.ts";
import { decodeValue, leaseOf, notText } from "../mappings/codec.ts";
import { defaultLife } from "../mappings/keeper.ts";
import { defaultMaxTtl } from "../mappings/mappings.ts";
import { formatSetnx, parseSetnx, type SetnxLine } from "../mappings/setnx-lines.ts";
import type { Lease, MappingStore } from "../mappings/store.ts";
import { parseDuration } from "./mapping-options.ts";
import { type StoreFlags, withOpenStore, withStore } from "./mappings-store.ts";
import { print } from "./output.ts";
import { createProgress } from "./progress.ts";

const batchSize = 500;

const importHelp = `
Leased entries (their timeout isn't 00000000) begin their lease anew: they live for their timeout, a TTL of ${defaultMaxTtl} s and the
grace, unless a gateway renews them meanwhile, and their addresses rest for the quarantine then. Give the values that the
gateways run with, and what a dnsNat46 maxDNS46TTL above ${defaultMaxTtl} s adds to the grace.
`;

interface ImportFlags extends StoreFlags {
  /** Seconds. */
  readonly mappingGrace: number;
  readonly mappingQuarantine: number;
}

export function registerMappingsTransfer(mappings: Command): void {
  withStore(mappings.command("export"))
    .description('print every entry as a line SETNX key "value", for redis-cli or `mappings import`')
    .action((options: StoreFlags) => withOpenStore(options, exportAll));
  withStore(mappings.command("import [file]"))
    .description(
      "create the entries of such lines (default: standard input); what exists already is never overwritten",
    )
    .option(
      "--mapping-grace <duration>",
      "of leased entries: as for run",
      parseDuration,
      defaultLife.graceMs / 1000,
    )
    .option(
      "--mapping-quarantine <duration>",
      "of leased entries: as for run",
      parseDuration,
      defaultLife.quarantineMs / 1000,
    )
    .addHelpText("after", importHelp)
    .action((file: string | undefined, options: ImportFlags) => {
      const lines = readLines(file);
      return withOpenStore({ ...options, create: true }, (store) => importAll(store, lines, options));
    });
}

async function exportAll(store: MappingStore): Promise<void> {
  const progress = createProgress("exported");
  const seen = new Set<string>();
  let chunk: string[] = [];
  for await (const [nat4, value] of store.list()) {
    if (seen.has(nat4)) continue;
    seen.add(nat4);
    if (value === notText) {
      console.error(`${nat4}: its key holds no string but another type of data; left out`);
      continue;
    }
    chunk.push(formatSetnx({ nat4, value }));
    if (chunk.length < batchSize) continue;
    print(chunk.join("\n"));
    chunk = [];
    progress.at(seen.size);
  }
  progress.end();
  if (chunk.length > 0) print(chunk.join("\n"));
}

/** All are read before the first one is stored: a file that is wrong changes nothing. */
function readLines(file: string | undefined): SetnxLine[] {
  const name = file ?? "standard input";
  let text: string;
  try {
    text = readFileSync(file ?? 0, "utf8");
  } catch (error) {
    throw new Eg46Error("EG46_USAGE", `${name}: ${(error as Error).message}`, { cause: error });
  }
  return text.split("\n").flatMap((line, index) => {
    try {
      return parseSetnx(line) ?? [];
    } catch (error) {
      throw new Eg46Error(
        "EG46_USAGE",
        `${name} line ${index + 1}: ${(error as Error).message}; nothing was imported`,
      );
    }
  });
}

async function importAll(
  store: MappingStore,
  lines: readonly SetnxLine[],
  flags: ImportFlags,
): Promise<void> {
  const counts = { created: 0, present: 0, conflict: 0, malformed: 0 };
  const progress = createProgress("imported", lines.length);
  const complaints: string[] = [];
  for (let start = 0; start < lines.length; start += batchSize) {
    const batch = lines.slice(start, start + batchSize);
    const outcomes = await Promise.all(batch.map((line) => importOne(store, line, flags)));
    for (const [index, { outcome, text }] of outcomes.entries()) {
      counts[outcome]++;
      if (text !== undefined) complaints.push(`${batch[index]!.nat4}: ${text}`);
    }
    progress.at(start + batch.length);
  }
  progress.end();
  for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
  const { created, present, conflict, malformed } = counts;
  print(
    `${store.name}: ${created} created, ${present} present already, ${conflict} in conflict, ${malformed} malformed`,
  );
  if (conflict + malformed > 0) process.exitCode = 1;
}

async function importOne(
  store: MappingStore,
  { nat4, value }: SetnxLine,
  flags: ImportFlags,
): Promise<{ outcome: "created" | "present" | "conflict" | "malformed"; text?: string }> {
  const mapping = decodeValue(value);
  if (mapping === undefined)
    return { outcome: "malformed", text: `malformed: ${JSON.stringify(value.slice(0, 80))}` };
  if (await store.claim(nat4, value, leaseFor(mapping.host6, leaseOf(mapping), flags)))
    return { outcome: "created" };
  const existing = await store.get(nat4);
  if (existing === value || decodeValue(existing ?? "")?.host6 === mapping.host6)
    return { outcome: "present" };
  const holder = decodeValue(existing ?? "")?.host6 ?? "something that is no mapping";
  return { outcome: "conflict", text: `is for ${mapping.host6} here, ${holder} has it in the store` };
}

/** An entry that had an end has one again, late enough for the gateways to take it over. */
function leaseFor(host6: string, leaseS: number, flags: ImportFlags): Lease | undefined {
  if (leaseS === 0) return undefined;
  const entryMs = (leaseS + defaultMaxTtl + flags.mappingGrace) * 1000;
  return { host6, entryMs, heldMs: entryMs + flags.mappingQuarantine * 1000 };
}
