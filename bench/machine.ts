import { spawnSync } from "node:child_process";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import type { Machine } from "./results.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export function describeMachine(): Machine {
  const processors = cpus();
  return {
    commit: git("rev-parse", "--short=12", "HEAD") || "unknown",
    modified: git("status", "--porcelain", "--untracked-files=no") !== "",
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    kernel: release(),
    node: process.version,
    date: new Date().toISOString(),
  };
}

/** "" where there is no git or no repository. */
function git(...args: string[]): string {
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}
