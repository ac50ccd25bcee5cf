/** One resolution by the running proxy with every step told: what `egress46 dig` shows. */
import { randomInt } from "node:crypto";
import type { TraceDetail } from "../trace.ts";
import type { Transport } from "./answered.ts";
import { classIn, flag, type Message, rcodeName, rcodeOf, scanMessage, typeName } from "./message.ts";
import { expandName } from "./name.ts";
import type { DnsProxy } from "./proxy.ts";
import { absolute, recordText } from "./record.ts";
import { addOpt, explanationsOf } from "./reply.ts";
import { createWriter } from "./writer.ts";

export interface DigQuestion {
  /** In wire form. */
  readonly name: Uint8Array;
  readonly type: number;
  /** As whom to ask; the gateway itself when absent. */
  readonly client?: string | undefined;
  readonly transport: Transport;
}

export interface DigStep {
  /** Milliseconds since the question. */
  readonly ms: number;
  readonly step: string;
  readonly found: TraceDetail;
}

export interface DigRecord {
  readonly section: string;
  readonly name: string;
  readonly ttl: number;
  readonly type: string;
  readonly data: string;
}

export interface DigResult {
  readonly name: string;
  readonly type: string;
  readonly steps: readonly DigStep[];
  readonly ms: number;
  /** Absent: the proxy stays silent, since DNS46 is off. */
  readonly answer?: {
    readonly rcode: string;
    /** Those that are set, as dig prints them: `qr rd ra`. */
    readonly flags: string;
    readonly bytes: number;
    readonly records: readonly DigRecord[];
    /** Extended DNS errors (RFC 8914): code and text. */
    readonly explanations: readonly string[];
  };
}

export async function dig(proxy: Pick<DnsProxy, "handle">, asked: DigQuestion): Promise<DigResult> {
  const { name, type, client = "localhost", transport } = asked;
  const startedAt = performance.now();
  const since = () => Math.round((performance.now() - startedAt) * 1000) / 1000;
  const steps: DigStep[] = [];
  const reply = await proxy.handle(
    question(name, type),
    transport,
    () => client,
    (step, found) => steps.push({ ms: since(), step, found }),
  );
  const ms = since();
  const message = reply && scanMessage(reply);
  return {
    ...{ name: absolute(name), type: typeName(type), steps: [...steps], ms },
    ...(message && { answer: describe(message) }),
  };
}

/** As a stub resolver asks: recursion desired, EDNS. */
function question(name: Uint8Array, type: number): Uint8Array {
  const writer = createWriter();
  for (const value of [randomInt(0x10000), flag.rd, 1, 0, 0, 0]) writer.u16(value);
  writer.raw(name);
  writer.u16(type);
  writer.u16(classIn);
  addOpt(writer, 0, []);
  return writer.finish();
}

function describe(message: Message): NonNullable<DigResult["answer"]> {
  const { bytes, flags, records, opt } = message;
  const set = Object.entries(flag).filter(([, bit]) => (flags & bit) !== 0);
  return {
    rcode: rcodeName(rcodeOf(message)),
    flags: set.map(([name]) => name).join(" "),
    bytes: bytes.length,
    records: records
      .filter((record) => record !== opt)
      .map((record) => ({
        section: record.section,
        name: absolute(expandName(bytes, record.owner) ?? Uint8Array.of(0)),
        ttl: record.ttl,
        type: typeName(record.type),
        data: recordText(message, record),
      })),
    explanations: explanationsOf(message).map(({ code, text }) => `${code} ${text}`.trim()),
  };
}
