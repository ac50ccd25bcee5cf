/** Questions to a DNS proxy in the words of dns-packet. */
import assert from "node:assert/strict";
import dnsPacket, { type DecodedPacket, type RecordType } from "dns-packet";
import type { DnsProxy, Transport } from "../../src/dns/proxy.ts";

export interface Question {
  readonly name: string;
  readonly type?: string;
  readonly class?: "IN" | "CH";
  readonly transport?: Transport;
  /** Absent: the client doesn't speak EDNS. */
  readonly edns?: { readonly size?: number; readonly dnssecOk?: boolean; readonly version?: number };
  readonly checkingDisabled?: boolean;
  readonly recursionDesired?: boolean;
  readonly client?: string;
}

export interface Reply {
  readonly raw: Buffer;
  readonly packet: DecodedPacket & { readonly rcode: string };
  /** `A 10.46.0.1` and so on, in order. */
  readonly answers: readonly string[];
  readonly errors: readonly { readonly code: number; readonly text: string }[];
}

let nextId = 1;

export function encodeQuestion(question: Question): Buffer {
  const { name, type = "A", edns, checkingDisabled = false, recursionDesired = true } = question;
  nextId = (nextId + 1) & 0xffff;
  return dnsPacket.encode({
    type: "query",
    id: nextId,
    flags:
      (recursionDesired ? dnsPacket.RECURSION_DESIRED : 0) |
      (checkingDisabled ? dnsPacket.CHECKING_DISABLED : 0),
    questions: [{ name, type: type as RecordType, class: question.class ?? "IN" }],
    additionals:
      edns === undefined
        ? []
        : [
            {
              ...{ type: "OPT", name: ".", extendedRcode: 0, options: [] },
              udpPayloadSize: edns.size ?? 1232,
              ednsVersion: edns.version ?? 0,
              flags: edns.dnssecOk ? dnsPacket.DNSSEC_OK : 0,
            } as never,
          ],
  });
}

export async function askProxy(proxy: DnsProxy, question: Question): Promise<Reply> {
  const query = encodeQuestion(question);
  const { client = "10.1.1.9" } = question;
  const reply = await proxy.handle(query, question.transport ?? "udp", () => client);
  assert.ok(reply !== undefined, "a reply is due");
  const raw = Buffer.from(reply);
  assert.equal(raw.readUInt16BE(0), query.readUInt16BE(0), "the client's ID");
  return { raw, ...read(raw) };
}

function read(raw: Buffer): Omit<Reply, "raw"> {
  const packet = dnsPacket.decode(raw) as Reply["packet"];
  const data = (record: object) => ("data" in record && typeof record.data === "string" ? record.data : "");
  const errors = (packet.additionals ?? [])
    .flatMap((record) => (record.type === "OPT" ? (record.options as { code: number; data: Buffer }[]) : []))
    .filter((option) => option.code === 15)
    .map(({ data: bytes }) => ({ code: bytes.readUInt16BE(0), text: bytes.subarray(2).toString() }));
  const answers = (packet.answers ?? []).map((record) => `${record.type} ${data(record)}`.trim());
  return { packet, answers, errors };
}

export function ttlsOf({ packet }: Reply, type: string): number[] {
  return (packet.answers ?? []).flatMap((record) =>
    record.type === type && "ttl" in record ? [record.ttl ?? 0] : [],
  );
}
