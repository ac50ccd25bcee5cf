import { cidrContains, ipv4ToNumber, parseCidr } from "../addresses.ts";
import { decodeValue, leaseOf } from "./codec.ts";
import { heldPrefix } from "./record-keys.ts";
import type { MappingStore } from "./store.ts";

export interface Finding {
  readonly nat4: string;
  readonly problem: "malformed" | "duplicate" | "outside" | "unheld";
  readonly detail: string;
}

export interface StoreCheck {
  readonly entries: number;
  /** Addresses without an entry that rest for the host that had them. */
  readonly quarantined: number;
  readonly findings: readonly Finding[];
}

/** Looks through a whole store. `subnet` (CIDR): entries outside of it are found, too. Throws TypeError on a bad one. */
export async function checkStoreEntries(store: MappingStore, subnet?: string): Promise<StoreCheck> {
  const net = subnet === undefined ? undefined : parseCidr(subnet);
  const findings: Finding[] = [];
  const byHost = new Map<string, string[]>();
  const entries = new Map<string, string>();
  for await (const [nat4, value] of store.list()) entries.set(nat4, value);
  const held = new Map<string, string>();
  for await (const [key, host6] of store.records.list(heldPrefix))
    held.set(key.slice(heldPrefix.length), host6);

  for (const [nat4, value] of entries) {
    const mapping = decodeValue(value);
    if (mapping === undefined) {
      findings.push({ nat4, problem: "malformed", detail: JSON.stringify(value.slice(0, 80)) });
      continue;
    }
    const { host6 } = mapping;
    byHost.set(host6, [...(byHost.get(host6) ?? []), nat4]);
    if (net !== undefined && !cidrContains(net, nat4))
      findings.push({ nat4, problem: "outside", detail: `${host6}, not in ${subnet}` });
    if (leaseOf(mapping) > 0 && held.get(nat4) !== host6) {
      const holder = held.get(nat4);
      const whom = holder === undefined ? "nobody" : `${holder}, whose clients may still use it`;
      findings.push({ nat4, problem: "unheld", detail: `${host6} has a lease, but it is held for ${whom}` });
    }
  }
  for (const [host6, nat4s] of byHost) {
    const sorted = nat4s.sort((a, b) => ipv4ToNumber(a) - ipv4ToNumber(b));
    for (const nat4 of sorted.slice(1))
      findings.push({ nat4, problem: "duplicate", detail: `${host6} has ${sorted[0]} already` });
  }
  findings.sort((a, b) => ipv4ToNumber(a.nat4) - ipv4ToNumber(b.nat4));
  const quarantined = [...held.keys()].filter((nat4) => !entries.has(nat4)).length;
  return { entries: entries.size, quarantined, findings };
}
