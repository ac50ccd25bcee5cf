import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Eg46Error } from "../errors.ts";
import { endingSignals } from "./cleanup.ts";
import { environment, execute, mustExecute } from "./execute.ts";
import { nsswitchConf, resolvConf } from "./netns.ts";
import { hasCommand, requireTun } from "./prerequisites.ts";

/** Set in the copy of the lab that runs inside. */
const marker = "EGRESS46_LAB_USER_NAMESPACE";

export const insideUserNamespace = process.env[marker] !== undefined;

/**
 * For an ordinary user: the lab once more inside user, network and mount namespaces where that user is root.
 * Resolves to its exit status. Throws EG46_PREREQUISITE if the machine does not allow that.
 */
export async function runInUserNamespace(): Promise<number> {
  requireTun();
  const unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
  if (!hasCommand("unshare"))
    throw new Eg46Error(
      "EG46_PREREQUISITE",
      "the command unshare (util-linux) is missing; or run the lab as root",
    );
  const { code, stderr } = await execute([...unshare, "true"]);
  if (code !== 0)
    throw new Eg46Error(
      "EG46_PREREQUISITE",
      `this machine does not let ordinary users make namespaces (${stderr.trim()}); run the lab as root`,
    );
  const [program = "", ...args] = [...unshare, process.execPath, ...process.argv.slice(1)];
  const child = spawn(program, args, { env: { ...environment, [marker]: "1" }, stdio: "inherit" });
  // A terminal signals both processes; kill(1) only this one.
  for (const signal of Object.keys(endingSignals) as (keyof typeof endingSignals)[])
    process.on(signal, () => child.kill(signal));
  const [status] = await once(child, "exit");
  return (status as number | null) ?? 1;
}

/** Inside: room for `ip netns` under /run, and the Pod's resolver in place of the host's (nobody else here asks). */
export async function prepareUserNamespace(resolver: string): Promise<void> {
  await mustExecute(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
  await replaceFile("/etc/resolv.conf", resolvConf(resolver));
  await replaceFile("/etc/nsswitch.conf", nsswitchConf);
}

/** By a mount, since /etc belongs to the host; or in place, where a symbolic link leads into the new /run. */
async function replaceFile(path: string, content: string): Promise<void> {
  const target = await linkTarget(path);
  if (target === undefined) return;
  if (target.startsWith("/run/")) {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    return;
  }
  const replacement = `/run/${path.replaceAll("/", "-")}`;
  writeFileSync(replacement, content);
  await mustExecute(["mount", "--bind", replacement, target]);
}

/** Where a path leads in the end, even if nothing is there; undefined if there is no such file. */
async function linkTarget(path: string): Promise<string | undefined> {
  const { stdout } = await execute(["readlink", "-m", path]);
  const target = stdout.trim();
  if (target.startsWith("/run/")) return target;
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
