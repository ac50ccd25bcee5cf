import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** CPU time so far, in µs. */
export interface CpuTime {
  readonly wall: number;
  /** All the time that no processor was idle. */
  readonly machine: number;
  /** By process id: user and system time of all threads, also what the kernel did in their name. */
  readonly processes: ReadonlyMap<number, number>;
  readonly kernelThreads: number;
}

const cores = cpus().length;
/** USER_HZ is 100 on every Linux that Node runs on. */
const tick = 10_000;
const kthreadd = 2;

export function readCpuTime(): CpuTime {
  const processes = new Map<number, number>();
  let kernelThreads = 0;
  for (const name of readdirSync("/proc")) {
    const found = /^\d+$/.test(name) ? processTime(name) : undefined;
    if (found === undefined) continue;
    if (found.kernel) kernelThreads += found.time;
    else processes.set(Number(name), found.time);
  }
  const wall = performance.now() * 1000;
  return { wall, machine: wall * cores - idleTime(), processes, kernelThreads };
}

/** Of all processors, with what the hypervisor took away. */
function idleTime(): number {
  const line = readFileSync("/proc/stat", "utf8").split("\n")[0]!;
  const [, , , idle = 0, wait = 0, , , steal = 0] = line.trim().split(/\s+/).slice(1).map(Number);
  return (idle + wait + steal) * tick;
}

/** Undefined for what has just ended. */
function processTime(pid: string): { time: number; kernel: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in brackets, may have spaces. Behind it: state, parent, …; utime and stime are the 14th and 15th field.
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    return { time: (fields[11]! + fields[12]!) * tick, kernel: fields[1] === kthreadd };
  } catch {
    return undefined;
  }
}

/** µs between two readings, for a gateway and the generators at its sides. */
export interface CpuUse {
  /** The gateway's processes: what they and the kernel in their name do. */
  readonly processes: number;
  /** With kernel threads: ksoftirqd does what is too much for the context it came up in. */
  readonly gateway: number;
  /** With the generators. */
  readonly all: number;
  /** What the machine did besides, as a share of what it can do. */
  readonly besides: number;
}

export function cpuUse(
  before: CpuTime,
  after: CpuTime,
  gateway: readonly number[],
  generators: readonly number[],
): CpuUse {
  const used = (pid: number) => (after.processes.get(pid) ?? 0) - (before.processes.get(pid) ?? 0);
  const sum = (pids: readonly number[]) => pids.reduce((total, pid) => total + used(pid), 0);
  const processes = sum(gateway);
  const withKernel = processes + after.kernelThreads - before.kernelThreads;
  const all = withKernel + sum(generators);
  const besides = (after.machine - before.machine - all) / ((after.wall - before.wall) * cores);
  return { processes, gateway: withKernel, all, besides };
}

export const cpuTitles = {
  processes: "the gateway's processes",
  gateway: "with kernel threads",
  all: "with kernel threads and generators",
} as const;
export const cpuKinds = ["processes", "gateway", "all"] as const;
