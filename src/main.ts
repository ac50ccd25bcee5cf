#!/usr/bin/env node
import type { Command } from "commander";
import { createProgram, runProgram } from "./cli/program.ts";

/** In the order of --help. A function each, because some commands bring the whole gateway with them. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  lab: async () => (await import("./cli/lab.ts")).registerLab,
  run: async () => (await import("./cli/run.ts")).registerRun,
  check: async () => (await import("./cli/check.ts")).registerCheck,
  status: async () => (await import("./cli/status.ts")).registerStatus,
  sessions: async () => (await import("./cli/sessions.ts")).registerSessions,
  blocks: async () => (await import("./cli/blocks.ts")).registerBlocks,
  drops: async () => (await import("./cli/drops.ts")).registerDrops,
  tmctl: async () => (await import("./cli/tmctl.ts")).registerTmctl,
  translate: async () => (await import("./cli/translate.ts")).registerTranslate,
  "envoy-config": async () => (await import("./cli/envoy-config.ts")).registerEnvoyConfig,
  dig: async () => (await import("./cli/dig.ts")).registerDig,
  mappings: async () => (await import("./cli/mappings.ts")).registerMappings,
};

const program = createProgram("egress46")
  .description(
    "Egress gateway: IPv4-only Pods reach IPv6-only hosts by name, and leave from chosen addresses.",
  )
  .addHelpText(
    "after",
    `
The three most useful command lines:
  egress46 lab                                       see it work: a Pod, a gateway and an internet, on this machine
  egress46 run -f DIR --internal IF --external IF    serve the F5SPKEgress and its kin found in DIR
  egress46 status                                    what the gateway does, and what it waits for

Next: egress46 check -f DIR before run; egress46 drops when traffic is missing; egress46 COMMAND --help.`,
  );

// A command that is named first needs no other; help and mistyped names need all of them.
const asked = process.argv[2] ?? "";
const needed = Object.entries(commands).filter(([name]) => name === asked || !Object.hasOwn(commands, asked));
for (const [, load] of needed) (await load())(program);

await runProgram(program, process.argv);
