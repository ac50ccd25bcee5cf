/**
 * Tables out of results. As a program: `report.js FILE.json` prints them, `report.js --write-docs FILE.json` puts
 * them into the generated block of docs/benchmarks.md.
 */
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Column, formatTable } from "../src/cli/table.ts";
import { goals, judge } from "./goals.ts";
import { median, type Results } from "./results.ts";

type Rows = readonly (readonly string[])[];

function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function range(lowest: number, highest: number): string {
  return Number.isFinite(lowest) && Number.isFinite(highest) ? `${figure(lowest)}–${figure(highest)}` : "–";
}

function goalRows(results: Results): Rows {
  const measured = goals.filter((goal) => results.series.some(({ id }) => id === goal.series));
  return measured.map((goal) => {
    const wanted = goal.atLeast !== undefined ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
    const outcome = judge(goal, results);
    if (outcome === undefined) return [goal.title, wanted, "not measured", "", ""];
    const { ratio, lowest, highest, reached } = outcome;
    return [goal.title, wanted, figure(ratio), range(lowest, highest), reached ? "✓" : "✗"];
  });
}

const goalHead = ["ratio", "goal", "reached", "rounds", ""];
const seriesHead = ["measured", "contender", "median", "min–max", "unit"];

function seriesRows({ series }: Results): Rows {
  return series.flatMap(({ title, unit, samples }) =>
    Object.entries(samples).map(([contender, values], index) => [
      index === 0 ? title : "",
      contender,
      figure(median(values)),
      range(Math.min(...values), Math.max(...values)),
      unit,
    ]),
  );
}

function remarks({ notRun, notes, errors }: Results): string[] {
  return [
    ...notRun.map(({ what, reason }) => `not run: ${what}: ${reason}`),
    ...notes.map((note) => `note: ${note}`),
    ...errors.map((error) => `ERROR: ${error}`),
  ];
}

function origin({ machine, mode }: Results): string {
  const commit = `commit ${machine.commit}${machine.modified ? " with changes" : ""}`;
  return `${commit}, ${machine.cores} × ${machine.cpu}, Linux ${machine.kernel}, Node ${machine.node}, ${machine.date}, ${mode.rounds} rounds × ${mode.seconds} s`;
}

function columns(titles: readonly string[], numeric: readonly number[]): Column[] {
  return titles.map((title, index) => ({ title, align: numeric.includes(index) ? "right" : "left" }));
}

export function formatText(results: Results): string {
  const tables = [
    formatTable(columns(goalHead, [1, 2, 3]), goalRows(results)),
    formatTable(columns(seriesHead, [2, 3]), seriesRows(results)),
  ];
  return [origin(results), ...tables, remarks(results).join("\n")].filter(Boolean).join("\n\n");
}

export function formatMarkdown(results: Results): string {
  const table = (head: readonly string[], rows: Rows) =>
    [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  return [
    `${origin(results)}.`,
    table(goalHead, goalRows(results)),
    table(seriesHead, seriesRows(results)),
    remarks(results)
      .map((line) => `- ${line}`)
      .join("\n"),
  ]
    .filter(Boolean)
    .join("\n\n");
}

const begin = "<!-- figures: begin (dist/bench/report.js --write-docs) -->";
const end = "<!-- figures: end -->";

/** Throws when the document has no such block. */
export function replaceFigures(document: string, figures: string): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error("docs/benchmarks.md has no block of figures");
  return `${document.slice(0, from + begin.length)}\n\n${figures}\n\n${document.slice(to)}`;
}

function main(args: readonly string[]): void {
  const write = args[0] === "--write-docs";
  const [file] = write ? args.slice(1) : args;
  if (file === undefined) {
    console.error("usage: report.js [--write-docs] FILE.json");
    process.exit(2);
  }
  const results = JSON.parse(readFileSync(file, "utf8")) as Results;
  if (!write) {
    console.log(formatText(results));
    return;
  }
  const document = fileURLToPath(new URL("../../docs/benchmarks.md", import.meta.url));
  writeFileSync(document, replaceFigures(readFileSync(document, "utf8"), formatMarkdown(results)));
}

if (realpathSync(process.argv[1]!) === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
