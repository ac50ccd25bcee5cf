import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { Eg46Error } from "../errors.ts";
import type { FeedTlsFiles } from "./options.ts";

/** What is in the files, PEM. */
export interface FeedTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/** Throws EG46_USAGE when a file can't be read, or isn't what its option says. */
export function readFeedTls(files: FeedTlsFiles | undefined): FeedTls | undefined {
  if (files === undefined) return undefined;
  const attempt = <T>(option: string, work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw new Eg46Error("EG46_USAGE", `--envoy-feed-${option}: ${(cause as Error).message}`, { cause });
    }
  };
  const read = (option: keyof FeedTlsFiles) => attempt(option, () => readFileSync(files[option]));
  const [cert, key, ca] = [read("cert"), read("key"), read("ca")];
  const certificate = attempt("cert", () => new X509Certificate(cert));
  attempt("ca", () => new X509Certificate(ca));
  if (!certificate.checkPrivateKey(attempt("key", () => createPrivateKey(key))))
    throw new Eg46Error(
      "EG46_USAGE",
      "--envoy-feed-key is not the key of the certificate in --envoy-feed-cert",
    );
  // What OpenSSL has against them (a key too short, for one) must show here, and not where they are served.
  attempt("cert", () => createSecureContext({ cert, key, ca }));
  return { cert, key, ca };
}
