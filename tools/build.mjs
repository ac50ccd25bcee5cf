/**
 * assembly/ → dist/wasm (and the generated src/engine/layout.gen.ts), then TypeScript → dist/.
 * `--check` regenerates what is generated and fails on a difference from what git holds.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { checkNode, command, fail, installPackages, isMain, root } from "./ready.mjs";

const executables = ["dist/src/main.js", "dist/src/tmctl.js"];
const generators = [
  { writes: ["src/engine/layout.gen.ts"], run: () => buildWasm({ force: true }) },
  { writes: ["docs/drops.md", "docs/errors.md"], run: () => runIfBuilt("dist/tools/gen-docs.js") },
];

export function build() {
  const started = performance.now();
  buildWasm({ force: false });
  command(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."]);
  for (const file of executables) if (existsSync(root + file)) chmodSync(root + file, 0o755);
  console.error(`build: done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function buildWasm({ force }) {
  const { targets } = JSON.parse(readFileSync(`${root}asconfig.json`, "utf8"));
  for (const [target, { outFile }] of Object.entries(targets)) {
    const entry = `assembly/${target}/index.ts`;
    if (!existsSync(root + entry)) continue;
    if (!force && newestSource() < modified(outFile)) continue;
    console.error(`build: ${entry} → ${outFile}`);
    const asc = [
      "node_modules/assemblyscript/bin/asc.js",
      entry,
      "--config",
      "asconfig.json",
      "--target",
      target,
    ];
    // Not in asconfig.json: asc resolves a transform there as a package, here as a path.
    if (target === "engine") asc.push("--transform", "./tools/layout-transform.mjs");
    command(process.execPath, asc);
  }
}

function newestSource() {
  const assembly = readdirSync(`${root}assembly`, { recursive: true }).map((file) => `assembly/${file}`);
  return Math.max(...[...assembly, "asconfig.json", "tools/layout-transform.mjs"].map(modified));
}

/** Milliseconds; 0 for a file that isn't there. */
function modified(file) {
  return statSync(root + file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function runIfBuilt(script) {
  if (existsSync(root + script)) command(process.execPath, [script]);
}

function check() {
  for (const { run } of generators) run();
  const differing = generators
    .flatMap(({ writes }) => writes)
    .filter((file) => existsSync(root + file) && readFileSync(root + file, "utf8") !== committed(file));
  if (differing.length === 0) return console.error("generated files: all current");
  fail(`generated files differ from what is committed: ${differing.join(", ")}`);
}

/** The content in git's index: what a commit made now would hold. */
function committed(file) {
  return spawnSync("git", ["show", `:${file}`], { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 }).stdout;
}

if (isMain(import.meta.url)) {
  checkNode();
  installPackages();
  build();
  if (process.argv.includes("--check")) check();
}
