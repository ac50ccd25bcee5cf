/** dnsperf in the Pod's namespace: what it asked, what came back, how long that took. */

import { spawn } from "node:child_process";
import { environment } from "../../src/lab/execute.ts";
import type { Netns } from "../../src/lab/netns.ts";
import { readCpuTime } from "../path/cpu-time.ts";

export interface Load {
  readonly server: string;
  /** A file of questions. */
  readonly questions: string;
  /** For so many seconds over and over; without it each question is asked once. */
  readonly seconds?: number;
  /** Questions a second; without it as many as get answered. */
  readonly rate?: number;
  /** Questions under way at most. Default 100. */
  readonly outstanding?: number;
}

export interface Answered {
  readonly sent: number;
  readonly completed: number;
  readonly lost: number;
  readonly perSecond: number;
  readonly seconds: number;
  /** By RCODE, in answers. */
  readonly codes: Readonly<Record<string, number>>;
  /** Share of one processor that dnsperf itself used: near 1 it, not the server, was the limit. */
  readonly generator: number;
  readonly generatorPid: number;
  /** Of single answers, ms, sorted; only with `latencies`. */
  readonly latencies: readonly number[];
}

/** Throws when dnsperf fails, or says what can't be read. */
export async function dnsperf(pod: Netns, load: Load, latencies = false): Promise<Answered> {
  const argv = ["dnsperf", "-s", load.server, "-d", load.questions, "-c", "8", "-T", "1", "-t", "3"];
  argv.push("-q", String(load.outstanding ?? 100));
  argv.push(...(load.seconds === undefined ? ["-n", "1"] : ["-l", String(load.seconds)]));
  if (load.rate !== undefined) argv.push("-Q", String(load.rate));
  if (latencies) argv.push("-v");
  const [program = "", ...args] = pod.inside(argv);
  const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: string[] = [];
  const before = readCpuTime();
  let busy = 0;
  // A process that has ended has no times any more.
  const look = setInterval(() => {
    busy = readCpuTime().processes.get(child.pid ?? 0) ?? busy;
  }, 100);
  child.stdout.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  clearInterval(look);
  const wall = readCpuTime().wall - before.wall;
  const text = chunks.join("");
  if (code !== 0) throw new Error(`dnsperf ended (${code}): ${text.slice(-500)}`);
  const number = (pattern: RegExp) => {
    const [, found] = pattern.exec(text) ?? [];
    if (found === undefined) throw new Error(`dnsperf says nothing of ${pattern}: ${text.slice(-500)}`);
    return Number(found);
  };
  const codes = /Response codes:\s+(.*)/.exec(text)?.[1] ?? "";
  return {
    sent: number(/Queries sent:\s+(\d+)/),
    completed: number(/Queries completed:\s+(\d+)/),
    lost: number(/Queries lost:\s+(\d+)/),
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    seconds: number(/Run time \(s\):\s+([\d.]+)/),
    codes: Object.fromEntries(
      Array.from(codes.matchAll(/(\w+) (\d+)/g), ([, name, count]) => [name, Number(count)]),
    ),
    generator: busy / wall,
    generatorPid: child.pid ?? 0,
    latencies: Array.from(
      text.matchAll(/^> \w+ \S+ \w+ ([\d.]+)$/gm),
      ([, seconds]) => Number(seconds) * 1000,
    ).sort((a, b) => a - b),
  };
}

/** `share` from 0 to 1 of sorted values. NaN for none. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
