/**
 * Makes a checkout ready to run: the Node version, the packages of package-lock.json, the build.
 * Node's own modules only, since it is the first thing that runs on a fresh clone.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const oldestNode = 20;

export function checkNode() {
  if (Number(process.versions.node.split(".")[0]) >= oldestNode) return;
  fail(`egress46 needs Node.js ${oldestNode} or newer; this is ${process.version} (${process.execPath}).`);
}

/**
 * When node_modules is missing or was installed from another package-lock.json. Not by `npm ci`: it refuses a lock
 * file without the optional packages of other platforms, which npm leaves out where the registry has none.
 */
export function installPackages() {
  const lock = createHash("sha256")
    .update(readFileSync(`${root}package-lock.json`))
    .digest("hex");
  const stamp = `${root}node_modules/.egress46-lock`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("packages: npm install");
  command("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(stamp, lock);
}

/** Runs to the end with its output shown on standard error; a failure ends this process with the same exit code. */
export function command(program, args) {
  const { status, signal, error } = spawnSync(program, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  fail(
    `${program} ${args.join(" ")}: ${error?.message ?? (signal ? `ended by ${signal}` : `exit ${status}`)}`,
    status,
  );
}

/** Whether the module of that URL is what Node was started with, be it through a symbolic link. */
export function isMain(url) {
  return realpathSync(process.argv[1]) === fileURLToPath(url);
}

export function fail(text, code) {
  console.error(text);
  process.exit(code || 1);
}

if (isMain(import.meta.url)) {
  checkNode();
  installPackages();
  command(process.execPath, ["tools/build.mjs"]);
}
