/**
 * `npm test`: everything but *.long.test.ts; `--long`: only those. Other arguments choose files by a part of
 * their path. The last line of output is 'N passed, N failed, N skipped'.
 */
import { setMaxListeners } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { provision } from "./provision.ts";
import { type Ended, type Outcome, outcomeOf } from "./test-outcome.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const compiled = `${root}dist/test/`;
const fileTimeoutMs = { short: 5 * 60_000, long: 60 * 60_000 };

const args = process.argv.slice(2);
const long = args.includes("--long");
const wanted = args.filter((argument) => argument !== "--long");

// A test process that is told to end cleans up after itself; without this it would outlive us.
const interrupted = new AbortController();
// Every file listens to it.
setMaxListeners(0, interrupted.signal);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => interrupted.abort());

await provision();
const files = chooseFiles();
const endToEnd = files.filter((file) => file.startsWith("e2e/"));
const others = files.filter((file) => !file.startsWith("e2e/"));
// Tests of the network measure and count what the machine does: one file at a time, and nothing beside it.
const outcomes = [...(await runFiles(others, 2)), ...(await runFiles(endToEnd, 1))];
process.exitCode = report(outcomes) && !interrupted.signal.aborted ? 0 : 1;

/** Files that have a source still; paths relative to the compiled tests. */
function chooseFiles(): string[] {
  return readdirSync(`${root}test`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts") && file.endsWith(".long.test.ts") === long)
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .map((file) => file.replace(/\.ts$/, ".js"))
    .sort();
}

async function runFiles(names: readonly string[], concurrency: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  if (names.length === 0 || interrupted.signal.aborted) return outcomes;
  const events = run({
    files: names.map((name) => compiled + name),
    concurrency,
    timeout: long ? fileTimeoutMs.long : fileTimeoutMs.short,
    signal: interrupted.signal,
  });
  const note = (passed: boolean, data: Ended) => {
    const outcome = outcomeOf(compiled, passed, data);
    if (outcome !== undefined) outcomes.push(outcome);
  };
  events.on("test:pass", (data) => note(true, data));
  events.on("test:fail", (data) => note(false, data));
  for await (const text of events.compose(new spec())) process.stdout.write(text);
  return outcomes;
}

/** True if tests ran, none failed and, in CI, every skip is on the committed list. */
function report(outcomes: readonly Outcome[]): boolean {
  const of = (result: Outcome["result"]) => outcomes.filter((outcome) => outcome.result === result);
  const accepted = new Set<string>(
    (JSON.parse(readFileSync(`${root}test/skips.json`, "utf8")) as { name: string }[]).map(
      ({ name }) => name,
    ),
  );
  const unlisted = process.env.CI === "true" ? of("skipped").filter(({ name }) => !accepted.has(name)) : [];
  list(`ran ${files.length} files${wanted.length > 0 ? ` chosen by ${wanted.join(", ")}` : ""}:`, files);
  list("failed:", of("failed").map(text));
  list("skipped:", of("skipped").map(text));
  list("skipped in CI without being on test/skips.json:", unlisted.map(text));
  const ran = of("passed").length + of("failed").length;
  if (ran === 0) console.log("no test ran");
  if (interrupted.signal.aborted) console.log("interrupted");
  console.log(
    `${of("passed").length} passed, ${of("failed").length} failed, ${of("skipped").length} skipped`,
  );
  return ran > 0 && of("failed").length === 0 && unlisted.length === 0;
}

function list(title: string, lines: readonly string[]): void {
  if (lines.length > 0) console.log(`\n${title}\n  ${lines.join("\n  ")}`);
}

function text({ name, reason }: Outcome): string {
  return reason === "" ? name : `${name} (${reason})`;
}
