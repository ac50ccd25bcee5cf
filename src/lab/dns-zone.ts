/** Answers out of a table of names. Record data is encoded by dns-packet, names and headers by our own writer. */
import dnsPacket, { type Answer, type RecordType } from "dns-packet";
import { classIn, flag, headerLength, patchId, rcode, recordType, u16 } from "../dns/message.ts";
import { foldOctet, nameToText, textToName } from "../dns/name.ts";
import { admit, dnssecOkBit, type Query } from "../dns/query.ts";
import { addOpt, errorReply, openReply } from "../dns/reply.ts";

/**
 * mute: no reply. truncate: always cut over UDP. forge: in front of the true reply come one under another ID and one
 * to another question. lowercase: the question comes back in lower case.
 */
export type Behaviour = "mute" | "servfail" | "refused" | "nxdomain" | "truncate" | "forge" | "lowercase";

export interface ZoneName {
  /** Seconds; 300 when absent. */
  readonly ttl?: number;
  /**
   * Data by type mnemonic, as dns-packet takes it (addresses, names and TXT as text). TYPE65 and the like: data in
   * hexadecimal.
   */
  readonly records?: Readonly<Record<string, readonly unknown[]>>;
  /** For every type, or by type mnemonic. */
  readonly behaviour?: Behaviour | Readonly<Record<string, Behaviour>>;
  readonly delayMs?: number;
  /** With DO set, an RRSIG (of no cryptographic value) follows the answers. */
  readonly signed?: boolean;
  /** NODATA comes without the SOA. */
  readonly withoutSoa?: boolean;
}

export interface Zone {
  /** Of every negative answer. Seconds. */
  readonly soa: { readonly zone: string; readonly ttl: number; readonly minimum: number };
  /** Names in lower case, without the final dot. */
  readonly names: Readonly<Record<string, ZoneName>>;
}

export interface ZoneAnswer {
  /** Sent in this order, the true reply last. Empty: silence. */
  readonly replies: readonly Uint8Array[];
  readonly delayMs: number;
}

const classicUdpSize = 512;
const maxMessage = 65535;
const defaultTtl = 300;
const maxChain = 16;
const knownTypes: readonly RecordType[] = [
  "A",
  "AAAA",
  "CAA",
  "CNAME",
  "DNAME",
  "MX",
  "NS",
  "PTR",
  "SOA",
  "SRV",
  "TXT",
];
const counts = { answer: 6, authority: 8 };

export function answerFromZone(zone: Zone, bytes: Uint8Array, transport: "udp" | "tcp"): ZoneAnswer {
  const admission = admit(bytes);
  if (admission.kind === "drop") return { replies: [], delayMs: 0 };
  if (admission.kind === "refuse") return { replies: [errorReply(bytes, admission.rcode)], delayMs: 0 };
  const { query } = admission;
  const name = lookUp(zone, bytes.subarray(headerLength, query.question.nameEnd));
  const behaviour =
    typeof name?.behaviour === "object" ? ofType(name.behaviour, query.question.type) : name?.behaviour;
  return { replies: behave(zone, query, behaviour, transport), delayMs: name?.delayMs ?? 0 };
}

function behave(
  zone: Zone,
  query: Query,
  behaviour: Behaviour | undefined,
  transport: "udp" | "tcp",
): Uint8Array[] {
  if (behaviour === "mute") return [];
  if (behaviour === "servfail") return [errorReply(query.bytes, rcode.SERVFAIL)];
  if (behaviour === "refused") return [errorReply(query.bytes, rcode.REFUSED)];
  const whole = authoritative(zone, query, behaviour === "nxdomain");
  const limit = transport === "tcp" ? maxMessage : Math.max(classicUdpSize, query.opt?.class ?? 0);
  const reply =
    whole.length > limit || (behaviour === "truncate" && transport === "udp") ? cut(query) : whole;
  if (behaviour === "lowercase")
    for (let at = headerLength; at < query.question.nameEnd; at++) reply[at] = foldOctet(reply[at]!);
  return behaviour === "forge" ? [...forgeries(reply), reply] : [reply];
}

function authoritative(zone: Zone, query: Query, denied: boolean): Uint8Array {
  const { type } = query.question;
  let owner: Uint8Array = query.bytes.slice(headerLength, query.question.nameEnd);
  let name = lookUp(zone, owner);
  const exists = name !== undefined && !denied;
  const writer = openReply(query.bytes, query.question, flag.aa | (exists ? rcode.NOERROR : rcode.NXDOMAIN));
  let answers = 0;
  let complete = false;
  const add = (ttl: number, recordType: number, data: () => void) => {
    writer.record(owner, recordType, classIn, ttl, data);
    answers++;
  };
  for (let hops = 0; exists && name !== undefined && hops < maxChain; hops++) {
    const { records = {}, ttl = defaultTtl, signed = false } = name;
    const found = ofType(records, type) ?? [];
    const [alias] = found.length > 0 ? [] : (records.CNAME ?? []);
    const target = alias === undefined ? undefined : textToName(String(alias));
    for (const data of found) add(ttl, type, () => writer.raw(rdata(type, data)));
    if (target !== undefined) add(ttl, recordType.CNAME, () => writer.name(target));
    if (signed && query.dnssecOk && answers > 0)
      add(ttl, recordType.RRSIG, () => writer.raw(Uint8Array.of(0)));
    complete = found.length > 0;
    if (target === undefined) break;
    owner = target;
    name = lookUp(zone, owner);
  }
  writer.patchU16(counts.answer, answers);
  if (!complete && name?.withoutSoa !== true) {
    const { zone: apex, ttl, minimum } = zone.soa;
    const timers = { serial: 1, refresh: 3600, retry: 600, expire: 86400, minimum };
    const data = { mname: `ns.${apex}`, rname: `hostmaster.${apex}`, ...timers };
    writer.record(textToName(apex), recordType.SOA, classIn, ttl, () =>
      writer.raw(rdata(recordType.SOA, data)),
    );
    writer.patchU16(counts.authority, 1);
  }
  if (query.opt !== undefined) addOpt(writer, query.opt.ttl & dnssecOkBit, []);
  return writer.finish();
}

function lookUp(zone: Zone, name: Uint8Array): ZoneName | undefined {
  return zone.names[nameToText(name).toLowerCase()];
}

function cut(query: Query): Uint8Array {
  const writer = openReply(query.bytes, query.question, flag.aa | flag.tc);
  if (query.opt !== undefined) addOpt(writer, query.opt.ttl & dnssecOkBit, []);
  return writer.finish();
}

/** What an attacker who guesses half of it would send. */
function forgeries(reply: Uint8Array): Uint8Array[] {
  const otherId = Uint8Array.from(reply);
  patchId(otherId, u16(reply, 0) ^ 1);
  const otherQuestion = Uint8Array.from(reply);
  otherQuestion[headerLength + 1]! ^= 1;
  return [otherId, otherQuestion];
}

/** The entry for a type in a table that is keyed by mnemonics. */
function ofType<T>(table: Readonly<Record<string, T>>, type: number): T | undefined {
  return Object.entries(table).find(([mnemonic]) => typeNumber(mnemonic) === type)?.[1];
}

function typeNumber(mnemonic: string): number {
  const generic = /^TYPE(\d+)$/.exec(mnemonic);
  if (generic) return Number(generic[1]);
  // The type stands behind the header and the root name.
  return u16(
    dnsPacket.encode({ questions: [{ type: mnemonic as RecordType, name: "." }] }),
    headerLength + 1,
  );
}

/** Data in hexadecimal for types that dns-packet does not know. */
function rdata(type: number, data: unknown): Uint8Array {
  const mnemonic = knownTypes.find((known) => typeNumber(known) === type);
  if (mnemonic === undefined) return Buffer.from(String(data), "hex");
  const record = { type: mnemonic, name: ".", ttl: 0, data } as Answer;
  // Behind the header, the root name, type, class, TTL and length.
  return dnsPacket.encode({ type: "response", answers: [record] }).subarray(headerLength + 11);
}
