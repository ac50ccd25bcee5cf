import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { checked, close, O_CLOEXEC, O_RDWR, open } from "../dataplane/syscalls.ts";
import { Eg46Error } from "../errors.ts";
import { searchPath } from "./command.ts";

/** Bits of the capability sets in /proc/self/status (linux/capability.h). */
export const capabilityBit = { setgid: 6, setuid: 7, setpcap: 8, net_admin: 12 } as const;

/** Throws EG46_PREREQUISITE with what is missing and how to mend it; changes nothing. */
export function checkPrerequisites(needsTun = true): void {
  if (!hasCapability(readCapabilities(), "net_admin"))
    throw missing(
      "netd needs root, or CAP_NET_ADMIN; run it with sudo, or inside 'unshare -Urnm' where /dev/net/tun is open to you",
    );
  for (const [command, debian] of [
    ["ip", "iproute2"],
    ["nft", "nftables"],
  ] as const)
    if (findCommand(command) === undefined)
      throw missing(`the command '${command}' is not installed (Debian package ${debian})`);
  if (!needsTun) return;
  const fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    return;
  }
  try {
    checked("open", fd);
  } catch (cause) {
    throw missing(tunRemedy((cause as NodeJS.ErrnoException).code ?? "unknown"), cause);
  }
}

/** What the kernel's answer to opening /dev/net/tun means. */
export function tunRemedy(code: string): string {
  if (code === "ENOENT" || code === "ENODEV" || code === "ENXIO")
    return "there is no /dev/net/tun; load the kernel module ('modprobe tun'), or give the container the device (--device /dev/net/tun)";
  if (code === "EACCES" || code === "EPERM")
    return `/dev/net/tun may not be opened (${code}): its mode or the container's device policy forbids it; run as the host's root, or 'chmod 666 /dev/net/tun', or allow the device c 10:200`;
  return `/dev/net/tun cannot be opened (${code})`;
}

/** The effective capability set of this process. */
export function readCapabilities(): bigint {
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0"}`);
}

export function hasCapability(set: bigint, name: keyof typeof capabilityBit): boolean {
  return ((set >> BigInt(capabilityBit[name])) & 1n) === 1n;
}

/** Full path of an executable. */
export function findCommand(name: string): string | undefined {
  return searchPath
    .split(":")
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function missing(text: string, cause?: unknown): Eg46Error {
  return new Eg46Error("EG46_PREREQUISITE", text, { cause });
}
