import { accessSync, closeSync, constants, existsSync, openSync } from "node:fs";
import { Eg46Error } from "../errors.ts";
import { environment, mustExecute } from "./execute.ts";

export interface Tool {
  readonly command: string;
  readonly debianPackage: string;
}

export const labTools: readonly Tool[] = [
  { command: "ip", debianPackage: "iproute2" },
  { command: "nft", debianPackage: "nftables" },
];

export function hasCommand(name: string): boolean {
  return (environment.PATH ?? "").split(":").some((directory) => {
    try {
      accessSync(`${directory}/${name}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

export function lacking(tools: readonly Tool[]): Tool[] {
  return tools.filter(({ command }) => !hasCommand(command));
}

/**
 * Installs with apt-get what is lacking, where that can be done: as root on Debian and its kin. Returns what is
 * lacking still, with the reason already told by `say`.
 */
export async function installLacking(
  tools: readonly Tool[],
  say: (line: string) => void,
): Promise<readonly Tool[]> {
  const missing = lacking(tools);
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))];
  if (!isRoot() || !hasCommand("apt-get")) return missing;
  say(`installing ${packages.join(", ")} with apt-get`);
  const apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
  try {
    await mustExecute([...apt, "update"], { timeoutMs: 300_000 });
    await mustExecute([...apt, "install", "--yes", "--no-install-recommends", ...packages], {
      timeoutMs: 600_000,
    });
  } catch (error) {
    say((error as Error).message);
  }
  return lacking(tools);
}

/** Throws EG46_PREREQUISITE saying what is missing and how to mend it. */
export async function requireLabTools(say: (line: string) => void): Promise<void> {
  const missing = await installLacking(labTools, say);
  if (missing.length === 0) return;
  const commands = missing.map(({ command }) => command).join(" and ");
  const packages = missing.map(({ debianPackage }) => debianPackage).join(" ");
  throw new Eg46Error(
    "EG46_PREREQUISITE",
    `the lab needs the command ${commands}; install it (Debian: apt-get install ${packages}) or run the lab as root`,
  );
}

const tun = "/dev/net/tun";

/** Why this process cannot open the TUN device, with what to do; undefined if it can. */
export function tunProblem(): string | undefined {
  if (!existsSync(tun))
    return `${tun} does not exist; as root: modprobe tun, or mkdir -p /dev/net && mknod -m 666 ${tun} c 10 200`;
  try {
    closeSync(openSync(tun, constants.O_RDWR));
    return undefined;
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EACCES")
      return `permission denied (EACCES) on ${tun}; run the lab as root, or as root: chmod 666 ${tun}`;
    return `${tun} cannot be opened (${code}); the kernel or the container does not allow TUN devices here`;
  }
}

/** Throws EG46_PREREQUISITE. */
export function requireTun(): void {
  const problem = tunProblem();
  if (problem !== undefined) throw new Eg46Error("EG46_PREREQUISITE", problem);
}
