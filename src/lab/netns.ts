import { existsSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import type { Cleanup } from "./cleanup.ts";
import {
  type Executed,
  type ExecuteOptions,
  execute,
  mustExecute,
  mustExecuteSync,
  tryExecuteSync,
} from "./execute.ts";

/** A named network namespace. */
export interface Netns {
  readonly name: string;
  /** `argv` as a command line that runs inside. */
  inside(argv: readonly string[]): string[];
  /** Runs to the end inside; see {@link execute}. */
  execute(argv: readonly string[], options?: ExecuteOptions): Promise<Executed>;
  /** The same for a command that must succeed; resolves to its standard output. */
  run(argv: readonly string[], options?: ExecuteOptions): Promise<string>;
  /** `ip` sub-commands, one a line, in one process. */
  ip(lines: readonly string[]): Promise<void>;
  /** Values below /proc/sys/net: `ipv4/ip_forward`. */
  sysctl(values: Readonly<Record<string, string | number>>): Promise<void>;
}

export function createNetns(name: string, cleanup: Cleanup): Netns {
  // Synchronous, so that no signal falls between the making and its undo step.
  mustExecuteSync(["ip", "netns", "add", name]);
  cleanup.defer(() => removeNetns(name));
  const inside = (argv: readonly string[]) => ["ip", "netns", "exec", name, ...argv];
  return {
    name,
    inside,
    execute: (argv, options) => execute(inside(argv), options),
    run: (argv, options) => mustExecute(inside(argv), options),
    async ip(lines) {
      const { code, stderr } = await execute(["ip", "-n", name, "-batch", "-"], { input: lines.join("\n") });
      if (code === 0) return;
      // "Command failed -:3" names the line.
      const line = lines[Number(/Command failed -:(\d+)/.exec(stderr)?.[1] ?? 1) - 1];
      throw new Error(`ip -n ${name} ${line}: ${stderr.trim().split("\n")[0]}`);
    },
    async sysctl(values) {
      const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key}`);
      await mustExecute(inside(["sh", "-ec", script.join("\n")]));
    },
  };
}

/** Ends what still runs inside (a shell somebody opened, too): a namespace lives as long as its last process. */
function removeNetns(name: string): void {
  for (const pid of tryExecuteSync(["ip", "netns", "pids", name]).split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // Already gone.
    }
  }
  tryExecuteSync(["ip", "netns", "del", name]);
}

/**
 * Gives processes inside the namespace a resolver of their own: `ip netns exec` binds the files of /etc/netns/NAME
 * over those of /etc. Name service plug-ins that would ask the host instead of the resolver are left out.
 */
export function setResolver(name: string, resolver: string, cleanup: Cleanup): void {
  const parent = "/etc/netns";
  const directory = `${parent}/${name}`;
  mkdirSync(directory, { recursive: true });
  cleanup.defer(() => {
    rmSync(directory, { recursive: true, force: true });
    try {
      rmdirSync(parent);
    } catch {
      // Somebody else's files are in it.
    }
  });
  writeFileSync(`${directory}/resolv.conf`, resolvConf(resolver));
  if (existsSync("/etc/nsswitch.conf")) writeFileSync(`${directory}/nsswitch.conf`, nsswitchConf);
}

export const resolvConf = (resolver: string) => `nameserver ${resolver}\n`;
export const nsswitchConf = "hosts: files dns\n";
