import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { runDirectory } from "../admin/gateway-file.ts";
import { environment } from "./execute.ts";
import type { Topology } from "./topology.ts";

/** The `egress46` program of this build as the start of a command line. */
export const egress46 = [process.execPath, fileURLToPath(new URL("../main.js", import.meta.url))];

/** The CRs that the lab shows; test/e2e starts from them too. */
export const labFiles = fileURLToPath(new URL("../../../examples/lab", import.meta.url));

export interface GatewaySettings {
  /** Files or folders of CRs. Default: {@link labFiles}. */
  readonly files?: readonly string[];
  /** As --store has it: `lmdb:/folder`, `redis://…`. */
  readonly store: string;
  /** Further arguments of `egress46 run`. */
  readonly args?: readonly string[];
}

export function gatewayCommand(topology: Topology, settings: GatewaySettings): string[] {
  return [
    ...egress46,
    "run",
    ...(settings.files ?? [labFiles]).flatMap((file) => ["-f", file]),
    ...topology.internal.flatMap((name) => ["--internal", name]),
    "--external",
    topology.external,
    "--store",
    settings.store,
    ...(settings.args ?? []),
  ];
}

export interface Gateway {
  /** Leader of a process group of its own. */
  readonly pid: number;
  readonly readyLine: string;
  /** What it wrote so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves when it has ended: its exit status, or the name of the signal. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** SIGTERM, and after 10 s SIGKILL to the whole group. Resolves as `exited`. */
  stop(): Promise<number | NodeJS.Signals>;
  /** SIGKILL to the whole group: nobody gets to clean up. Resolves as `exited`. */
  kill(): Promise<number | NodeJS.Signals>;
}

/** Starts `argv` inside the gateway's namespace and waits for its ready line; rejects with its log otherwise. */
export async function startGateway(
  topology: Topology,
  argv: readonly string[],
  readyWithinMs = 30_000,
): Promise<Gateway> {
  const [program = "", ...args] = topology.gateway.inside(argv);
  const child = spawn(program, args, { env: environment, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const exited = once(child, "close").then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  const killGroup = () => signalGroup(child.pid, "SIGKILL");
  topology.cleanup.defer(killGroup);
  topology.cleanup.defer(forgetGatewayFile(topology.gateway.name));
  const readyLine = await Promise.race([
    firstLine(child.stdout, () => output.stdout),
    exited.then((how) => `it ended (${how})`),
    sleep(readyWithinMs, `it was not ready within ${readyWithinMs / 1000} s`, { ref: false }),
  ]);
  if (!readyLine.startsWith("egress46 ready")) {
    killGroup();
    throw new Error(`the gateway did not start, ${readyLine}\n${output.stdout}${output.stderr}`.trimEnd());
  }
  return {
    pid: child.pid ?? 0,
    readyLine,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    exited,
    async stop() {
      signalGroup(child.pid, "SIGTERM", "leader");
      await Promise.race([exited, sleep(10_000, undefined, { ref: false })]);
      killGroup();
      return exited;
    },
    kill() {
      killGroup();
      return exited;
    },
  };
}

async function firstLine(stream: NodeJS.ReadableStream, text: () => string): Promise<string> {
  while (!text().includes("\n")) await once(stream, "data");
  return text().split("\n")[0] ?? "";
}

function signalGroup(
  pid: number | undefined,
  signal: NodeJS.Signals,
  whom: "group" | "leader" = "group",
): void {
  if (pid === undefined) return;
  try {
    process.kill(whom === "group" ? -pid : pid, signal);
  } catch {
    // Already gone.
  }
}

/** A gateway that is killed leaves the file by which commands find it. */
function forgetGatewayFile(netns: string): () => void {
  const inode = statSync(`/run/netns/${netns}`).ino;
  return () => rmSync(`${runDirectory}/net-${inode}.json`, { force: true });
}
