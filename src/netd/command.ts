import { spawn } from "node:child_process";
import { Eg46Error } from "../errors.ts";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `ip` and `nft` live where an ordinary user's PATH in Debian doesn't lead. */
export const searchPath = `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;

/** Runs `ip` or `nft` (no shell) and waits for it; a non-zero exit is a result, a missing command an error. */
export function runCommand(command: string, args: readonly string[], input = ""): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, PATH: searchPath },
      // Ctrl-C reaches the terminal's whole process group; a change under way is to be finished.
      detached: true,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", (cause) => {
      reject(
        new Eg46Error("EG46_PREREQUISITE", `the command '${command}' cannot be run: ${cause.message}`, {
          cause,
        }),
      );
    });
    child.on("close", (code) => resolve({ code: code ?? 128, stdout, stderr: stderr.trim() }));
    // A command that fails early closes its input; its exit status tells.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** Standard output of a command that must succeed. Rejects with EG46_HOST_NETWORK quoting command and answer. */
export async function output(command: string, args: readonly string[], input = ""): Promise<string> {
  const result = await runCommand(command, args, input);
  if (result.code === 0) return result.stdout;
  throw new Eg46Error(
    "EG46_HOST_NETWORK",
    `'${[command, ...args].join(" ")}' failed: ${result.stderr || `exit ${result.code}`}`,
  );
}

/** `ip -j …` parsed. iproute2 prints nothing at all for some empty lists, and `{}` rows for filtered ones. */
export async function ipJson<Row extends object>(args: readonly string[]): Promise<Row[]> {
  const text = (await output("ip", ["-j", ...args])).trim();
  const rows = text === "" ? [] : (JSON.parse(text) as Row[]);
  return rows.filter((row) => Object.keys(row).length > 0);
}
