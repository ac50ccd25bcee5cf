/** How DNS upstreams are asked, as the operator said it; only netd can read the file that it names. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Eg46Error } from "../errors.ts";
import type { LetterCaseMode } from "./letter-case.ts";
import { defaultUpstreamSettings, type UpstreamSettings } from "./upstream.ts";

export interface UpstreamOptions {
  /** Authentication name of DoT upstreams. Undefined: no TLS. */
  readonly tlsName?: string | undefined;
  /** PEM file. */
  readonly tlsCaFile?: string | undefined;
  readonly tcp?: boolean | undefined;
  readonly letterCase: LetterCaseMode;
}

/** Throws EG46_USAGE when the file can't be read or holds no certificate. */
export function readAuthority(options: UpstreamOptions | undefined): Uint8Array | undefined {
  const file = options?.tlsCaFile;
  if (file === undefined) return undefined;
  try {
    const pem = readFileSync(file);
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new Eg46Error(
      "EG46_USAGE",
      `--dns-tls-ca must name a readable file with certificates in PEM form: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** `ca`: what {@link readAuthority} read. */
export function upstreamSettings(
  options: UpstreamOptions | undefined,
  ca: Uint8Array | undefined,
): UpstreamSettings {
  if (options === undefined) return defaultUpstreamSettings;
  const { tlsName, tcp, letterCase } = options;
  return { letterCase, ...(tcp && { tcp }), ...(tlsName !== undefined && { tls: { name: tlsName, ca } }) };
}
