/**
 * Which names get an A (specification, 'DNS Resolution'): a reply with only AAAA. Pure: from the client's question
 * and the upstream's replies to a decision. The mirror image of DNS64 (RFC 6147 §5.1), whose clauses are named below.
 */
import {
  classIn,
  flag,
  headerLength,
  type Message,
  type ResourceRecord,
  rcode,
  rcodeName,
  rcodeOf,
  recordType,
  u32,
} from "./message.ts";
import { expandName, foldName, skipName } from "./name.ts";
import { type Rules, rulesOf } from "./policy.ts";
import type { Query } from "./query.ts";

export interface ChainLink {
  readonly owner: Uint8Array;
  /** CNAME or DNAME. */
  readonly type: number;
  readonly ttl: number;
  readonly target: Uint8Array;
}

export interface Host {
  /** 16 bytes in wire order. */
  readonly address: Uint8Array;
  /** Seconds, as the upstream gave it. */
  readonly ttl: number;
}

export interface Synthesis {
  readonly chain: readonly ChainLink[];
  /** The name at the end of the chain, which owns the AAAA records. */
  readonly owner: Uint8Array;
  /** Those that get an address each, in the upstream's order. */
  readonly hosts: readonly Host[];
  /** The AAAA records that go back with the new A, in the upstream's order. */
  readonly originals: readonly Host[];
  /** Seconds that the new A may live. */
  readonly ttl: number;
}

/** `why` is a line for `egress46 dig`. */
export type Decision =
  | { readonly kind: "pass"; readonly why: string }
  | { readonly kind: "fail"; readonly why: string }
  | ({ readonly kind: "synthesize" } & Synthesis);

/** RFC 6147 §5.1.7: the TTL when the upstream gave no SOA with its NODATA. Seconds. */
const ttlWithoutSoa = 600;
/** Resolvers themselves give up long before. */
const maxLinks = 32;
const standard = rulesOf();
const pass = (why: string): Decision => ({ kind: "pass", why });
const fail = (why: string): Decision => ({ kind: "fail", why });

/**
 * Why the answer to this question stays the upstream's, whatever it is. Undefined: it may become a DNS46 one, so that the
 * other family is worth asking for at the same time. `client`: the address, asked for only where a rule needs it.
 */
export function whyUnchanged(
  query: Query,
  client: () => string,
  rules: Rules = standard,
): string | undefined {
  const { type, class: klass } = query.question;
  if (type !== recordType.A && !(type === recordType.AAAA && rules.addToAaaa)) return "not a question for A";
  if (klass !== classIn) return "not of class IN";
  if (query.signed) return "the question carries a TSIG";
  // RFC 6147 §5.5 (3): a client that sets DO and CD validates by itself, and a synthesized answer would fail.
  if (query.dnssecOk && query.checkingDisabled) return "the client validates by itself (DO and CD)";
  if (rules.excludesName?.(query.bytes, headerLength)) return "the name is excluded";
  if (rules.excludesClient?.(client())) return "the client is excluded";
  return undefined;
}

/** True when the A reply is NODATA, so that the AAAA reply decides. Everything else goes back as it is. */
export function lacksA(reply: Message): boolean {
  // RFC 6147 §5.1.2: an error is returned, never masked; a cut reply says nothing about what is missing.
  if (rcodeOf(reply) !== rcode.NOERROR || (reply.flags & flag.tc) !== 0) return false;
  for (const { section, type, class: klass } of reply.records)
    if (section === "answer" && type === recordType.A && klass === classIn) return false;
  return true;
}

/** `aReply` is one that {@link lacksA}; `aaaaReply` undefined: the upstream gave none. `maxTtl` in seconds. */
export function decide(
  query: Query,
  aReply: Message,
  aaaaReply: Message | undefined,
  maxTtl: number,
  rules: Rules = standard,
): Decision {
  if (aaaaReply === undefined) return fail("no A, and no answer for AAAA");
  const code = rcodeOf(aaaaReply);
  // Servers that deny a name by one type and know it by another exist; the A reply stands.
  if (code === rcode.NXDOMAIN) return pass("neither A nor AAAA");
  if (code !== rcode.NOERROR) return fail(`no A, and ${rcodeName(code)} for AAAA`);
  if (query.dnssecOk && !rules.breakDnssec && (isSigned(aReply) || isSigned(aaaaReply)))
    return pass("the answers are signed, and the client wants signatures");

  const end = followChain(query, aaaaReply);
  if (end === undefined) return pass("a malformed alias");
  const ownerKey = foldName(end.owner);
  const all: Host[] = [];
  for (const record of answers(aaaaReply)) {
    if (record.type !== recordType.AAAA || record.end - record.rdata !== 16) continue;
    if (foldedOwner(aaaaReply, record) !== ownerKey) continue;
    const address = aaaaReply.bytes.subarray(record.rdata, record.end);
    all.push({ address, ttl: Math.min(record.ttl, maxTtl) });
  }
  const mayMap = all.filter(({ address }) => rules.mayMap(address));
  const hosts = mayMap.length > rules.maxHosts ? mayMap.slice(0, rules.maxHosts) : mayMap;
  if (hosts.length === 0) return pass(all.length === 0 ? "neither A nor AAAA" : "every AAAA is excluded");
  const ttl = hosts.reduce((least, host) => Math.min(least, host.ttl), Math.min(negativeTtl(aReply), maxTtl));
  const originals = query.question.type === recordType.AAAA ? all : rules.answer === "a" ? [] : hosts;
  return { kind: "synthesize", ...end, hosts, originals, ttl };
}

function answers(reply: Message): ResourceRecord[] {
  return reply.records.filter((record) => record.section === "answer" && record.class === classIn);
}

function isSigned(reply: Message): boolean {
  return reply.records.some((record) => record.type === recordType.RRSIG);
}

function foldedOwner(reply: Message, record: ResourceRecord): string | undefined {
  const owner = expandName(reply.bytes, record.owner);
  return owner && foldName(owner);
}

/** From the question through CNAMEs in whatever order the server put them; DNAMEs come along. Undefined: malformed. */
function followChain(query: Query, reply: Message): { owner: Uint8Array; chain: ChainLink[] } | undefined {
  const dnames: ChainLink[] = [];
  const cnames = new Map<string, ChainLink>();
  for (const record of answers(reply)) {
    if (record.type !== recordType.CNAME && record.type !== recordType.DNAME) continue;
    const owner = expandName(reply.bytes, record.owner);
    const target = expandName(reply.bytes, record.rdata);
    if (!owner || !target || skipName(reply.bytes, record.rdata) !== record.end) return undefined;
    const link = { owner, type: record.type, ttl: record.ttl, target };
    if (record.type === recordType.DNAME) dnames.push(link);
    else cnames.set(foldName(owner), link);
  }
  const chain: ChainLink[] = [];
  let owner: Uint8Array = query.bytes.slice(headerLength, query.question.nameEnd);
  // Each link is taken out as it is used, so a circle of CNAMEs ends too.
  for (let key = foldName(owner), link = cnames.get(key); link !== undefined; link = cnames.get(key)) {
    cnames.delete(key);
    if (chain.length >= maxLinks) return undefined;
    // RFC 6672 §3.1: the DNAME stands before the CNAME made out of it.
    for (const dname of dnames.splice(0)) {
      if (foldName(owner).endsWith(foldName(dname.owner))) chain.push(dname);
      else dnames.push(dname);
    }
    chain.push(link);
    owner = link.target;
    key = foldName(owner);
  }
  return { owner, chain };
}

/** RFC 2308 §5: how long the absence of the A may be believed, the lesser of the SOA's TTL and its MINIMUM. */
function negativeTtl(reply: Message): number {
  const soa = reply.records.find(
    (record) => record.section === "authority" && record.type === recordType.SOA,
  );
  if (soa === undefined || soa.end - soa.rdata < 22) return ttlWithoutSoa;
  return Math.min(soa.ttl, u32(reply.bytes, soa.end - 4));
}
