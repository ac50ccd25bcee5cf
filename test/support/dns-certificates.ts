/** Certificates of a DNS server for TLS, made by openssl in a folder that goes with the returned function. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustExecute } from "./exec.ts";

export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface DnsCertificates {
  /** PEM of the authority, and its file. */
  readonly ca: string;
  readonly caFile: string;
  readonly good: ServerCertificate;
  readonly expired: ServerCertificate;
  /** By an authority that nobody knows. */
  readonly stranger: ServerCertificate;
  remove(): void;
}

/** All for dns.test and 127.0.0.1. */
export async function makeDnsCertificates(): Promise<DnsCertificates> {
  const dir = mkdtempSync(join(tmpdir(), "egress46-dns-tls-"));
  const path = (name: string) => join(dir, name);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  async function make(name: string, days: number, ...more: string[]): Promise<ServerCertificate> {
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)];
    const subject = ["-subj", `/CN=egress46 test ${name}`, "-days", String(days)];
    await mustExecute(["openssl", "req", "-x509", ...newKey, ...files, ...subject, ...more]);
    return { cert: readFileSync(path(`${name}.crt`), "utf8"), key: readFileSync(path(`${name}.key`), "utf8") };
  }
  const signedBy = (authority: string) => [
    ...["-CA", path(`${authority}.crt`), "-CAkey", path(`${authority}.key`)],
    ...["-addext", "subjectAltName=DNS:dns.test,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:false"],
  ];
  const { cert: ca } = await make("authority", 2);
  await make("stranger", 2);
  return {
    ca,
    caFile: path("authority.crt"),
    good: await make("good", 2, ...signedBy("authority")),
    expired: await make("expired", -1, ...signedBy("authority")),
    stranger: await make("strange", 2, ...signedBy("stranger")),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
