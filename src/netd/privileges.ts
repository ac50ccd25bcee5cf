import { lchownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Eg46Error } from "../errors.ts";
import { allows } from "./passages.ts";
import { findCommand, hasCapability, readCapabilities } from "./prerequisites.ts";

/** `nobody`: owns nothing. */
const unprivilegedId = 65534;

export interface Identity {
  /** Undefined: the gateway keeps netd's ids (user namespace without the id, or no capability to change it). */
  readonly id: number | undefined;
  /** Full path of util-linux' setpriv, if installed. */
  readonly setpriv: string | undefined;
  readonly capabilities: bigint;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly uid?: number;
  readonly gid?: number;
}

export function gatewayIdentity(): Identity {
  const capabilities = readCapabilities();
  const mapped = ["uid_map", "gid_map"].every((map) =>
    isMapped(readFileSync(`/proc/self/${map}`, "utf8"), unprivilegedId),
  );
  const able = hasCapability(capabilities, "setuid") && hasCapability(capabilities, "setgid");
  return { id: mapped && able ? unprivilegedId : undefined, setpriv: findCommand("setpriv"), capabilities };
}

/** Whether an id exists in a user namespace; the text is /proc/self/uid_map: first inside, first outside, count. */
export function isMapped(map: string, id: number): boolean {
  return map
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .some(([first = 0, , count = 0]) => id >= first && id < first + count);
}

/**
 * The command that starts the gateway without privileges: no capability, none to be had later, killed when netd dies.
 * Root of a user namespace keeps its id (there is no other), which is an ordinary user's outside.
 */
export function unprivileged(identity: Identity, command: string, args: readonly string[]): Launch {
  const { id, setpriv, capabilities } = identity;
  if (setpriv === undefined) return { command, args, ...(id === undefined ? {} : { uid: id, gid: id }) };
  const flags = [
    ...["--no-new-privs", "--pdeathsig", "KILL"],
    ...(id === undefined ? [] : ["--reuid", String(id), "--regid", String(id), "--clear-groups"]),
    ...["--inh-caps=-all", "--ambient-caps=-all"],
    ...(hasCapability(capabilities, "setpcap") ? ["--bounding-set=-all"] : []),
  ];
  return { command: setpriv, args: [...flags, "--", command, ...args] };
}

/**
 * Throws EG46_PREREQUISITE when the program itself is closed to the gateway's user; no passage leads into `root`, the
 * folder of package.json, unless that may be searched.
 */
export function checkProgram(root: string, main: string, uid: number): void {
  const closed = [root, main].find((path, index) => !allows(path, uid, index === 0 ? 1 : 4));
  if (closed === undefined) return;
  throw new Eg46Error(
    "EG46_PREREQUISITE",
    `${closed} is closed to uid ${uid}, as which the gateway runs; 'chmod -R go+rX ${root}' opens the program`,
  );
}

/** As whom files see the gateway. */
export function gatewayUid({ id }: Identity): number {
  return id ?? process.getuid?.() ?? 0;
}

/**
 * Creates an LMDB folder, its parents too, and hands it and its files to the gateway's user. Throws
 * EG46_STORE_FOLDER, also for a folder that holds anything else: it would be given away.
 */
export function prepareStoreFolder(path: string, id: number | undefined): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const names = readdirSync(path);
    const foreign = names.find((name) => !/\.mdb(-lock)?$/.test(name));
    if (foreign !== undefined)
      throw new Eg46Error(
        "EG46_STORE_FOLDER",
        `--store lmdb:${path} is no mapping store: the folder holds '${foreign}'`,
      );
    if (id === undefined) return;
    for (const entry of [path, ...names.map((name) => join(path, name))]) lchownSync(entry, id, id);
  } catch (cause) {
    if (cause instanceof Eg46Error) throw cause;
    throw new Eg46Error("EG46_STORE_FOLDER", `--store lmdb:${path} ${folderProblem(cause)}`, { cause });
  }
}

function folderProblem(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "EEXIST" || code === "ENOTDIR") return "is a file, or lies below one; the store is a folder";
  if (code === "EROFS") return "is on a file system that is mounted read-only";
  return `cannot be made or given to the gateway's user: ${message}`;
}
