/** The files in the folder that Envoy reads. A file is replaced by renaming: Envoy never sees half of one. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { parseCidr } from "../addresses.ts";
import { Eg46Error } from "../errors.ts";
import { bootstrap } from "./bootstrap.ts";
import { clusterResources } from "./clusters.ts";
import { listenerResources } from "./listeners.ts";
import type { EnvoyOptions } from "./options.ts";
import { secretFiles } from "./secrets.ts";

const wasm = fileURLToPath(new URL("../../wasm/filter.wasm", import.meta.url));
const head = "# Written by egress46; changes are lost.\n";

/** Those that are written once; of them Envoy follows the secrets. Throws EG46_ENVOY_DIR. */
export function writeStaticFiles(options: EnvoyOptions): void {
  attempt(options.dir, () => {
    mkdirSync(options.dir, { recursive: true, mode: 0o755 });
    replace(join(options.dir, "filter.wasm"), readFileSync(wasm));
    for (const [name, secret] of Object.entries(options.tls ? secretFiles(options.tls) : {}))
      replace(join(options.dir, name), yaml(secret));
    replace(join(options.dir, "envoy.yaml"), yaml(bootstrap(options)));
  });
}

/** Those that Envoy follows. Throws EG46_ENVOY_DIR. */
export function writeDynamicFiles(
  options: EnvoyOptions,
  sources: readonly string[],
  internalNets: readonly string[],
): void {
  const ipv6 = internalNets.some((net) => parseCidr(net).family === 6);
  attempt(options.dir, () => {
    // Clusters first: a listener must find what its filter names.
    replace(join(options.dir, "clusters.yaml"), yaml(clusterResources(sources)));
    replace(join(options.dir, "listeners.yaml"), yaml(listenerResources(ipv6, options)));
  });
}

/** Whether there are any, of an earlier run. */
export function hasDynamicFiles({ dir }: EnvoyOptions): boolean {
  return ["clusters.yaml", "listeners.yaml"].every((name) => existsSync(join(dir, name)));
}

/** A further file beside them. Throws EG46_ENVOY_DIR. */
export function writeFileOf(options: EnvoyOptions, name: string, text: string): void {
  attempt(options.dir, () => replace(join(options.dir, name), text));
}

function yaml(value: object): string {
  return head + stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** What is there already is left alone, and so is whoever watches it. */
function replace(path: string, content: string | Uint8Array): void {
  const bytes = Buffer.from(content as Uint8Array);
  if (isThere(path, bytes)) return;
  writeFileSync(`${path}.new`, bytes, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

function isThere(path: string, bytes: Buffer): boolean {
  try {
    return readFileSync(path).equals(bytes);
  } catch {
    return false;
  }
}

function attempt(dir: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw new Eg46Error("EG46_ENVOY_DIR", `${dir}: ${(cause as Error).message}`, { cause });
  }
}
