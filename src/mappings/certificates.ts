import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Eg46Error } from "../errors.ts";

/** PEM files for rediss://: client certificate, its key, and the authority that signed the server's certificate. */
export interface CertificateFiles {
  readonly redisCert?: string | undefined;
  readonly redisKey?: string | undefined;
  readonly redisCa?: string | undefined;
}

/** What is in them. */
export interface Certificates {
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  readonly ca?: Buffer | undefined;
}

/** The only place that reads the files. Throws EG46_USAGE when one can't be read. */
export function readCertificates({ redisCert, redisKey, redisCa }: CertificateFiles): Certificates {
  const read = (option: string, file: string | undefined) => {
    try {
      return file === undefined ? undefined : readFileSync(file);
    } catch (error) {
      throw usage(`${option}: ${(error as Error).message}`, error);
    }
  };
  return {
    cert: read("--redis-cert", redisCert),
    key: read("--redis-key", redisKey),
    ca: read("--redis-ca", redisCa),
  };
}

/** Throws EG46_USAGE unless they are what their options say and fit together. */
export function checkCertificates({ cert, key, ca }: Certificates): void {
  if ((cert === undefined) !== (key === undefined)) throw usage("--redis-cert and --redis-key go together");
  const parse = <T>(option: string, what: string, parser: () => T): T => {
    try {
      return parser();
    } catch (error) {
      throw usage(`${option} holds no ${what} in PEM form`, error);
    }
  };
  if (ca !== undefined) parse("--redis-ca", "certificate", () => new X509Certificate(ca));
  if (cert === undefined || key === undefined) return;
  const certificate = parse("--redis-cert", "certificate", () => new X509Certificate(cert));
  const privateKey = parse("--redis-key", "private key without a passphrase", () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey))
    throw usage("--redis-key is not the key of the certificate in --redis-cert");
}

function usage(message: string, cause?: unknown): Eg46Error {
  return new Eg46Error("EG46_USAGE", message, { cause });
}
