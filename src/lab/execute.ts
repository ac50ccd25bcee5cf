import { type ChildProcess, execFile, spawnSync } from "node:child_process";
import { Eg46Error } from "../errors.ts";

export interface Executed {
  /** Exit status; 128 + signal number is not imitated: a process ended by a signal or a timeout has null. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecuteOptions {
  readonly input?: string;
  /** After this long the process is killed. Default 30,000. */
  readonly timeoutMs?: number;
}

/** Where `ip` and `nft` live is not on an ordinary user's PATH in Debian. */
export const environment: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`,
};

/** Runs a command to its end. Rejects only if it cannot be started at all. */
export function execute(argv: readonly string[], options: ExecuteOptions = {}): Promise<Executed> {
  const [program = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const settings = {
      env: environment,
      timeout: options.timeoutMs ?? 30_000,
      killSignal: "SIGKILL",
      maxBuffer: 1 << 26,
    } as const;
    const child: ChildProcess = execFile(program, args, settings, (error, stdout, stderr) => {
      if (typeof error?.code === "string") reject(failure(argv, error.message));
      else resolve({ code: error === null ? 0 : (error.code ?? null), stdout, stderr });
    });
    // A command that ends without reading its input is judged by its exit status.
    child.stdin?.on("error", () => {});
    child.stdin?.end(options.input ?? "");
  });
}

/** Standard output of a command that must succeed. Rejects with EG46_HOST_NETWORK quoting command and answer. */
export async function mustExecute(argv: readonly string[], options: ExecuteOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await execute(argv, options);
  if (code !== 0) throw failure(argv, (stderr || stdout).trim() || `exit ${code ?? "by signal or timeout"}`);
  return stdout;
}

/** As {@link mustExecute}, at once: throws instead of rejecting. */
export function mustExecuteSync(argv: readonly string[]): string {
  const [program = "", ...args] = argv;
  const { status, stdout, stderr, error } = spawnSync(program, args, { env: environment, encoding: "utf8" });
  if (status !== 0) throw failure(argv, error?.message ?? stderr.trim());
  return stdout;
}

/** For clean-up in an exit handler, where nothing asynchronous runs: output, or "" if it failed. */
export function tryExecuteSync(argv: readonly string[]): string {
  try {
    return mustExecuteSync(argv);
  } catch {
    return "";
  }
}

function failure(argv: readonly string[], answer: string): Eg46Error {
  return new Eg46Error("EG46_HOST_NETWORK", `${argv.join(" ")}: ${answer}`);
}
