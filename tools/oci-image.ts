/**
 * `node dist/tools/oci-image.js DIR`: writes an OCI image layout (image-spec v1.1) with the filter as its one layer, by the
 * media types of the Wasm image specification, which Istio's WasmPlugin and `oras` take. No daemon, no network. Prints the
 * sha256 of filter.wasm, which a `sha256:` field wants.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../src/version.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

export const wasmLayer = "application/vnd.module.wasm.content.layer.v1+wasm";
const wasmConfig = "application/vnd.module.wasm.config.v1+json";
const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** Resolves to the sha256 of the module, in hexadecimal. */
export function writeOciImage(dir: string): string {
  const wasm = readFileSync(new URL("../wasm/filter.wasm", import.meta.url));
  mkdirSync(join(dir, "blobs/sha256"), { recursive: true });
  const blob = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(dir, "blobs/sha256", hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const layer = {
    ...blob(wasmLayer, wasm),
    annotations: { "org.opencontainers.image.title": "plugin.wasm" },
  };
  const manifest = blob(
    manifestType,
    json({
      schemaVersion: 2,
      mediaType: manifestType,
      config: blob(wasmConfig, json({})),
      layers: [layer],
      annotations: { "org.opencontainers.image.version": version },
    }),
  );
  const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": version } };
  writeFileSync(join(dir, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(dir, "index.json"), json({ schemaVersion: 2, manifests: [named] }));
  return layer.digest.slice("sha256:".length);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [dir] = process.argv.slice(2);
  if (dir === undefined) {
    console.error("usage: oci-image.js DIR");
    process.exit(2);
  }
  console.log(`${writeOciImage(dir)}  filter.wasm`);
}
