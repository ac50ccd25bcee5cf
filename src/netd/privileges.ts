import { lchownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Eg46Error } from "../errors.ts";
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
 * The command that starts the gateway without privileges: no new ones to be had, killed when netd dies, and at most
 * one capability, reading files regardless of their mode (TLS keys, CRs in root's folders), nothing to change any.
 */
export function unprivileged(identity: Identity, command: string, args: readonly string[]): Launch {
  const { id, setpriv, capabilities } = identity;
  if (setpriv === undefined) return { command, args, ...(id === undefined ? {} : { uid: id, gid: id }) };
  const keep = hasCapability(capabilities, "setpcap") && hasCapability(capabilities, "dac_read_search");
  const set = keep ? "-all,+dac_read_search" : "-all";
  const flags = [
    ...["--no-new-privs", "--pdeathsig", "KILL"],
    ...(id === undefined ? [] : ["--reuid", String(id), "--regid", String(id), "--clear-groups"]),
    ...[`--inh-caps=${set}`, `--ambient-caps=${set}`],
    ...(hasCapability(capabilities, "setpcap") ? [`--bounding-set=${set}`] : []),
  ];
  return { command: setpriv, args: [...flags, "--", command, ...args] };
}

/**
 * Creates an LMDB folder, its parents too, and hands it and its files to the gateway's user. Throws EG46_USAGE for a
 * folder that holds anything else: it would be given away.
 */
export function prepareStoreFolder(path: string, id: number | undefined): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const names = readdirSync(path);
    const foreign = names.find((name) => !/\.mdb(-lock)?$/.test(name));
    if (foreign !== undefined)
      throw new Eg46Error("EG46_USAGE", `--store lmdb:${path} is no mapping store: it holds '${foreign}'`);
    if (id === undefined) return;
    for (const entry of [path, ...names.map((name) => join(path, name))]) lchownSync(entry, id, id);
  } catch (cause) {
    if (cause instanceof Eg46Error) throw cause;
    throw new Eg46Error(
      "EG46_PREREQUISITE",
      `--store lmdb:${path} cannot be created: ${(cause as Error).message}`,
      { cause },
    );
  }
}
