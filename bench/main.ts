/** `npm run bench -- [PART…] [--quick] [--rounds N] [--seconds S] [--json FILE]`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exitOnSignals } from "../src/lab/cleanup.ts";
import { translate } from "./core/compare.ts";
import { ports } from "./core/ports.ts";
import { dns } from "./dns/dns.ts";
import { envoy } from "./envoy/envoy.ts";
import { describeMachine } from "./machine.ts";
import type { Part } from "./part.ts";
import { connections } from "./path/connections.ts";
import { cpu } from "./path/cpu.ts";
import { ping } from "./path/ping.ts";
import { tcp, tcp4 } from "./path/tcp.ts";
import { udp64 } from "./path/udp64.ts";
import { formatText } from "./report.ts";
import { emptyResults, type Mode } from "./results.ts";

const parts: Readonly<Record<string, Part>> = {
  tcp,
  tcp4,
  udp64,
  cpu,
  connections,
  ping,
  translate,
  ports,
  envoy,
  dns,
};

function usage(problem: string): never {
  console.error(`bench: ${problem}; parts: ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  usage(`${option} must be a whole number from 1`);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        rounds: { type: "string" },
        seconds: { type: "string" },
        json: { type: "string" },
      },
    });
  } catch (error) {
    usage((error as Error).message);
  }
}

const { values, positionals } = readArguments();
const names = positionals.length > 0 ? positionals : Object.keys(parts);
for (const name of names) if (!Object.hasOwn(parts, name)) usage(`there is no part '${name}'`);
const mode: Mode = {
  rounds: positive(values.rounds ?? (values.quick ? "2" : "5"), "--rounds"),
  seconds: positive(values.seconds ?? (values.quick ? "2" : "5"), "--seconds"),
};

exitOnSignals();
const results = emptyResults(describeMachine(), mode);
const say = (line: string) => console.error(line);
for (const name of names) {
  say(name);
  try {
    await parts[name]!({ mode, results, say });
  } catch (error) {
    // A gateway that does not start brings its whole log along.
    const [first = "", ...more] = (error as Error).message.split("\n");
    results.errors.push(`${name}: ${first}`);
    say(`  ERROR ${[first, ...more.slice(0, 5)].map((line) => line.slice(0, 300)).join("\n  ")}`);
  }
}

const stamp = results.machine.date.replace(/[-:]|\.\d+/g, "");
const file = values.json ?? fileURLToPath(new URL(`../../bench/results/${stamp}.json`, import.meta.url));
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
console.log(formatText(results));
console.log(`written to ${file}`);
process.exit(results.errors.length > 0 ? 1 : 0);
