/** Names that DNS46 gave addresses for: noted after each answer, asked when no upstream answers (RFC 8767 in spirit). */
import { bytesToIpv6, ipv6ToBytes } from "../addresses.ts";
import type { Synthesis } from "./dns46.ts";
import { headerLength } from "./message.ts";
import { nameToText } from "./name.ts";
import type { Rules } from "./policy.ts";
import type { Query } from "./query.ts";

/** Where they are kept. */
export interface KnownNames {
  /** Neither throws nor waits. `hosts`: IPv6 text. */
  noteName(name: string, hosts: readonly string[]): void;
  /** IPv6 texts; none: unknown. Rejects when only a store could tell that is out of reach. */
  hostsOfName(name: string): Promise<readonly string[]>;
}

/** RFC 8767 §4: the TTL of what is given for want of an answer. Seconds. */
export const staleTtl = 30;

export function noteName(names: KnownNames, query: Query, { hosts }: Synthesis): void {
  const hosts6 = hosts.map(({ address }) => bytesToIpv6(address));
  names.noteName(textOf(query), hosts6);
}

/** What DNS46 would make of the name if the upstream said what it said before. Undefined: nobody knows. */
export async function recallName(
  names: KnownNames,
  query: Query,
  rules: Rules,
): Promise<Synthesis | undefined> {
  const known = await names.hostsOfName(textOf(query)).catch(() => []);
  const hosts = known
    .map((text) => ({ address: ipv6ToBytes(text), ttl: staleTtl }))
    .filter(({ address }) => rules.mayMap(address))
    .slice(0, rules.maxHosts);
  if (hosts.length === 0) return undefined;
  const owner = query.bytes.slice(headerLength, query.question.nameEnd);
  return { chain: [], owner, hosts, originals: rules.answer === "a" ? [] : hosts, ttl: staleTtl };
}

function textOf(query: Query): string {
  return nameToText(query.bytes.subarray(headerLength, query.question.nameEnd)).toLowerCase();
}
