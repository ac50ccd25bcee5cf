import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type GatewayFile, gatewayFilePath, runDirectory } from "../admin/gateway-file.ts";
import type { Logger } from "../log.ts";

/** Tells commands in the same network namespace where the gateway is; where /run is read-only they need --admin. */
export function writeRunFile(content: GatewayFile, log: Logger): void {
  const path = gatewayFilePath();
  try {
    mkdirSync(runDirectory, { recursive: true, mode: 0o755 });
    writeFileSync(`${path}.${content.pid}`, `${JSON.stringify(content)}\n`, { mode: 0o644 });
    renameSync(`${path}.${content.pid}`, path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    log.warn(`${runDirectory} is not writable (${code}): commands need --admin ${content.admin}`);
  }
}

/** Removes the file unless another netd has written it since. */
export function removeRunFile(pid: number): void {
  try {
    const path = gatewayFilePath();
    if ((JSON.parse(readFileSync(path, "utf8")) as GatewayFile).pid === pid) rmSync(path);
  } catch {
    // It could not be written in the first place.
  }
}
