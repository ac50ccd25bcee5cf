/** The zones that the local authoritative server holds, and the questions asked about them. */
import { writeFileSync } from "node:fs";

/** Names asked again and again: they fit into every cache. */
export const warmNames = 1000;

export interface ZoneFiles {
  readonly zone: string;
  readonly file: string;
}

const head = (zone: string) =>
  [
    `$ORIGIN ${zone}.`,
    "$TTL 3600",
    "@ SOA ns hostmaster 1 3600 600 86400 300",
    "@ NS ns",
    "ns A 192.0.2.53",
    "",
  ].join("\n");

/**
 * `warm.bench`: names with A, and names with AAAA only. `cold.bench`: `cold` names that each have an address of their own,
 * `six<n>` an AAAA only (work for DNS46) and `four<n>` an A only (the same work for DNS64).
 */
export function writeZones(folder: string, cold: number): readonly ZoneFiles[] {
  const warm = Array.from(
    { length: warmNames },
    (_, n) => `four${n} A 198.51.${n >> 8}.${n & 255}\nsix${n} AAAA 2001:db8:b::${(n + 1).toString(16)}`,
  );
  const once = Array.from({ length: cold }, (_, n) => {
    const [high, low] = [(n >>> 16).toString(16), (n & 0xffff).toString(16)];
    return `six${n} AAAA 2001:db8:c::${high}:${low}\nfour${n} A ${10 + (n >>> 24)}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
  });
  return Object.entries({ "warm.bench": warm, "cold.bench": once }).map(([zone, lines]) => {
    const file = `${folder}/${zone}.zone`;
    writeFileSync(file, `${head(zone)}${lines.join("\n")}\n`);
    return { zone, file };
  });
}

/** A file for dnsperf: `count` questions from name `first` on. Returns its path. */
export function writeQuestions(
  file: string,
  {
    zone,
    label,
    type,
    first = 0,
    count,
  }: { zone: string; label: string; type: string; first?: number; count: number },
): string {
  const lines = Array.from({ length: count }, (_, n) => `${label}${first + n}.${zone} ${type}`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}
