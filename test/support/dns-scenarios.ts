/**
 * The names that DNS64 implementations are tested with, seen in the mirror: each kind of host × each way to it × a zone
 * with and without signatures.
 */
import type { Answer, RrsigData } from "dns-packet";
import type { Asked, Script, Scripted } from "./scripted-server.ts";

export const hosts = {
  /** The mirror of a name with A records alone. */
  "aaaa-only": { AAAA: ["2001:db8:46::2"] },
  "a-only": { A: ["192.0.2.5"] },
  "a-and-aaaa": { A: ["192.0.2.6"], AAAA: ["2001:db8:46::6"] },
  "not-mapped": { AAAA: ["2001:db8:eeee::3"] },
  "not-mapped-with-a": { A: ["192.0.2.7"], AAAA: ["2001:db8:eeee::7"] },
  "partly-mapped": { AAAA: ["2001:db8:eeee::4", "2001:db8:46::4"] },
  "ipv4-in-disguise": { AAAA: ["::ffff:192.0.2.9"] },
  "mx-only": { MX: [{ preference: 10, exchange: "mail.example" }] },
} as const;
export type HostKind = keyof typeof hosts | "non-existent";
export const hostKinds = [...Object.keys(hosts), "non-existent"] as HostKind[];
/** Addresses that get an A record under --dns46-exclude-host 2001:db8:eeee::/48. */
export const mapped: Partial<Record<HostKind, readonly string[]>> = {
  "aaaa-only": ["2001:db8:46::2"],
  "partly-mapped": ["2001:db8:46::4"],
};
export const ways = ["direct", "cname", "two cnames", "dname"] as const;
export type Way = (typeof ways)[number];
export const zones = ["unsigned", "signed"] as const;
export type ZoneKind = (typeof zones)[number];

const ttl = 300;

export function nameOf(kind: HostKind, way: Way, zone: ZoneKind): string {
  if (way === "direct") return `${kind}.${zone}`;
  if (way === "dname") return `${kind}.moved.${zone}`;
  return `${way === "cname" ? "cname" : "cname2"}-${kind}.${zone}`;
}

export const scenarioScript: Script = (asked) => {
  const zone = asked.name.endsWith(".signed") ? "signed" : "unsigned";
  const links: Answer[] = [];
  let name = asked.name;
  for (let target = alias(name, zone, links); target !== undefined; target = alias(name, zone, links))
    name = target;
  const [kind = ""] = name.split(".");
  const records = (hosts as Record<string, Record<string, readonly unknown[]>>)[kind];
  const found = (records?.[asked.type] ?? []).map(
    (data) => ({ type: asked.type, name, ttl, class: "IN", data }) as Answer,
  );
  const reply: Scripted = {
    rcode: records === undefined ? 3 : 0,
    answers: [...links, ...found],
    authorities: found.length > 0 ? [] : [soa(zone)],
  };
  return zone === "signed" && asked.dnssecOk ? signed(reply, asked) : reply;
};

function alias(name: string, zone: ZoneKind, links: Answer[]): string | undefined {
  const link = (target: string) => {
    links.push({ type: "CNAME", name, ttl, class: "IN", data: target });
    return target;
  };
  if (name.startsWith("cname2-")) return link(`cname-${name.slice(7)}`);
  if (name.startsWith("cname-")) return link(name.slice(6));
  if (!name.endsWith(`.moved.${zone}`)) return undefined;
  links.push({ type: "DNAME", name: `moved.${zone}`, ttl, class: "IN", data: zone } as Answer);
  return link(name.replace(`.moved.${zone}`, `.${zone}`));
}

export function soa(zone: string, minimum = 120, soaTtl = 900): Answer {
  const times = { serial: 1, refresh: 3600, retry: 600, expire: 86400, minimum };
  const data = { mname: `ns.${zone}`, rname: `hostmaster.${zone}`, ...times };
  return { type: "SOA", name: zone, ttl: soaTtl, class: "IN", data } as Answer;
}

function signed(reply: Scripted, { checkingDisabled }: Asked): Scripted {
  return {
    ...reply,
    answers: withSignatures(reply.answers ?? []),
    authorities: withSignatures(reply.authorities ?? []),
    // AD, as a validating resolver sets it.
    flags: checkingDisabled ? 0 : 0x20,
  };
}

function withSignatures(records: readonly Answer[]): Answer[] {
  const last = (index: number) =>
    records[index + 1]?.type !== records[index]?.type || records[index + 1]?.name !== records[index]?.name;
  return records.flatMap((record, index) => {
    return last(index) ? [record, signature(record)] : [record];
  });
}

export function signature({ name, type }: Answer): Answer {
  const data: RrsigData = {
    typeCovered: type as RrsigData["typeCovered"],
    ...{ algorithm: 13, labels: 2, originalTTL: ttl, expiration: 2_000_000_000, inception: 1_700_000_000 },
    ...{ keyTag: 4646, signersName: "example", signature: Buffer.alloc(64, 46) },
  };
  return { type: "RRSIG", name, ttl, class: "IN", data };
}
