/** DNS messages for tests of the caches, and what a cache may make of one, worked out the slow way. */
import assert from "node:assert/strict";
import dnsPacket, { type Answer, type RecordType } from "dns-packet";
import { recordType, scanMessage } from "../../src/dns/message.ts";

export interface Edns {
  readonly size: number;
  readonly dnssecOk?: boolean;
}

export interface Asked {
  readonly name: string;
  readonly type?: string;
  readonly id?: number;
  readonly edns?: Edns | undefined;
  readonly flags?: number;
}

const opt = ({ size, dnssecOk = false }: Edns) => ({
  type: "OPT" as const,
  name: "." as const,
  udpPayloadSize: size,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: dnssecOk ? dnsPacket.DNSSEC_OK : 0,
  flag_do: dnssecOk,
  options: [],
});

export function queryBytes({
  name,
  type = "A",
  id = 1,
  edns,
  flags = dnsPacket.RECURSION_DESIRED,
}: Asked): Buffer {
  return dnsPacket.encode({
    ...{ type: "query", id, flags },
    questions: [{ name, type: type as RecordType }],
    ...(edns && { additionals: [opt(edns)] }),
  });
}

export interface Replied {
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  readonly flags?: number;
}

/** The reply to it, with an OPT record when it had one. */
export function replyBytes(asked: Asked, { answers = [], authorities = [], flags = 0 }: Replied): Buffer {
  return dnsPacket.encode({
    type: "response",
    id: asked.id ?? 1,
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | flags,
    questions: [{ name: asked.name, type: (asked.type ?? "A") as RecordType }],
    answers: [...answers],
    authorities: [...authorities],
    additionals: asked.edns ? [opt({ ...asked.edns, size: 1232 })] : [],
  });
}

/** `reply` as it answers `query` `seconds` later: ID and letters of the question, TTLs; `ttl`: all of them are that. */
export function aged(reply: Uint8Array, query: Uint8Array, seconds: number, ttl?: number): Buffer {
  const bytes = Buffer.from(reply);
  const message = scanMessage(bytes);
  assert.ok(message !== undefined, "a whole message");
  bytes.set(query.subarray(0, 2));
  bytes.set(query.subarray(12, message.question.nameEnd), 12);
  for (const record of message.records)
    if (record.type !== recordType.OPT) bytes.writeUInt32BE(ttl ?? record.ttl - seconds, record.rdata - 6);
  return bytes;
}

export const soa = (ttl: number, minimum: number): Answer => ({
  type: "SOA",
  name: "example",
  ttl,
  data: {
    ...{ mname: "ns.example", rname: "root.example", serial: 1, refresh: 2, retry: 3, expire: 4 },
    minimum,
  },
});

/** One answer of each type that is counted by itself, and one that isn't. */
export const answersOf: Readonly<Record<string, (name: string, ttl: number) => Answer>> = {
  A: (name, ttl) => ({ type: "A", name, ttl, data: "192.0.2.80" }),
  AAAA: (name, ttl) => ({ type: "AAAA", name, ttl, data: "2001:db8::80" }),
  PTR: (name, ttl) => ({ type: "PTR", name, ttl, data: "host.example" }),
  SRV: (name, ttl) => ({
    ...{ type: "SRV", name, ttl },
    data: { priority: 1, weight: 2, port: 443, target: "host.example" },
  }),
  TXT: (name, ttl) => ({ type: "TXT", name, ttl, data: "a text" }),
  MX: (name, ttl) => ({ type: "MX", name, ttl, data: { preference: 10, exchange: "mx.example" } }),
  UNKNOWN_65: (name, ttl) => ({
    ...{ type: "UNKNOWN_65" as never, name, ttl },
    data: Buffer.from("0001000001000302683200040004c0000201", "hex") as never,
  }),
  NAPTR: (name, ttl) => ({
    ...{ type: "NAPTR", name, ttl },
    data: { order: 1, preference: 1, flags: "s", services: "x", regexp: "", replacement: "a.example" },
  }),
};
