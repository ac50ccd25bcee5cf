/** Certificates of a DNS server for TLS, made by openssl in a folder that goes with the returned function. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  const openssl = (...args: string[]) => mustExecute(["openssl", ...args]);
  const request = (name: string) => [
    "req",
    ...newKey,
    "-keyout",
    path(`${name}.key`),
    "-subj",
    `/CN=${name}`,
  ];
  async function authority(name: string): Promise<void> {
    await openssl(...request(name), "-x509", "-days", "2", "-out", path(`${name}.crt`));
  }
  async function signed(name: string, signer: string, days: number): Promise<ServerCertificate> {
    await openssl(...request(name), "-out", path(`${name}.csr`));
    await openssl(
      ...["x509", "-req", "-in", path(`${name}.csr`), "-out", path(`${name}.crt`), "-days", String(days)],
      ...["-CA", path(`${signer}.crt`), "-CAkey", path(`${signer}.key`), "-CAcreateserial"],
      ...["-extfile", path("names")],
    );
    return {
      cert: readFileSync(path(`${name}.crt`), "utf8"),
      key: readFileSync(path(`${name}.key`), "utf8"),
    };
  }
  writeFileSync(path("names"), "subjectAltName = DNS:dns.test, IP:127.0.0.1\n");
  await authority("authority");
  await authority("stranger");
  return {
    ca: readFileSync(path("authority.crt"), "utf8"),
    caFile: path("authority.crt"),
    good: await signed("good", "authority", 2),
    expired: await signed("expired", "authority", -1),
    stranger: await signed("strange", "stranger", 2),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
