/** Records taken from one message to another, and as text. */
import { bytesToIpv6 } from "../addresses.ts";
import { type Message, type ResourceRecord, recordType, u16, u32 } from "./message.ts";
import { expandName, nameToText, skipName } from "./name.ts";
import type { MessageWriter } from "./writer.ts";

/** What the data of a type is made of: octets before its names, names, octets behind. */
interface Form {
  readonly before: number;
  readonly names: number;
  readonly behind: number;
}

/** Types whose data holds names that senders do compress, so that it changes with its place. */
const forms = new Map<number, Form>([
  [recordType.NS, { before: 0, names: 1, behind: 0 }],
  [recordType.CNAME, { before: 0, names: 1, behind: 0 }],
  [recordType.PTR, { before: 0, names: 1, behind: 0 }],
  [recordType.DNAME, { before: 0, names: 1, behind: 0 }],
  [recordType.MX, { before: 2, names: 1, behind: 0 }],
  [recordType.SRV, { before: 6, names: 1, behind: 0 }],
  [recordType.SOA, { before: 0, names: 2, behind: 20 }],
]);

/** RFC 2782, RFC 6672 §2.5: read compressed, never written so. */
const plainNames: readonly number[] = [recordType.SRV, recordType.DNAME];

interface Data {
  readonly before: Uint8Array;
  readonly names: readonly Uint8Array[];
  readonly behind: Uint8Array;
}

function read({ bytes }: Message, { type, rdata, end }: ResourceRecord): Data | undefined {
  const form = forms.get(type) ?? { before: end - rdata, names: 0, behind: 0 };
  const names: Uint8Array[] = [];
  let offset = rdata + form.before;
  for (let count = 0; count < form.names; count++) {
    const name = expandName(bytes, offset);
    offset = skipName(bytes, offset);
    if (name === undefined || offset < 0) return undefined;
    names.push(name);
  }
  if (offset + form.behind !== end) return undefined;
  return {
    before: bytes.subarray(rdata, rdata + form.before),
    names,
    behind: bytes.subarray(offset, end),
  };
}

/** False, with nothing written, when owner or data is malformed. */
export function copyRecord(writer: MessageWriter, message: Message, record: ResourceRecord): boolean {
  const owner = expandName(message.bytes, record.owner);
  const data = read(message, record);
  if (owner === undefined || data === undefined) return false;
  writer.record(owner, record.type, record.class, record.ttl, () => {
    writer.raw(data.before);
    for (const name of data.names) {
      if (plainNames.includes(record.type)) writer.raw(name);
      else writer.name(name);
    }
    writer.raw(data.behind);
  });
  return true;
}

/** The data in presentation form; of types without one here as RFC 3597 §5 has it, `\# 2 c000`. */
export function recordText(message: Message, record: ResourceRecord): string {
  const octets = message.bytes.subarray(record.rdata, record.end);
  const data = read(message, record);
  if (data !== undefined && data.names.length > 0) {
    const numbers = (bytes: Uint8Array, size: 2 | 4) =>
      Array.from({ length: bytes.length / size }, (_, index) =>
        (size === 2 ? u16 : u32)(bytes, index * size),
      );
    const names = data.names.map(absolute);
    return [...numbers(data.before, 2), ...names, ...numbers(data.behind, 4)].join(" ");
  }
  if (record.type === recordType.A && octets.length === 4) return octets.join(".");
  if (record.type === recordType.AAAA && octets.length === 16) return bytesToIpv6(octets);
  if (record.type === recordType.TXT) return strings(octets);
  return `\\# ${octets.length} ${Buffer.from(octets).toString("hex")}`.trim();
}

/** With the final dot. */
export function absolute(name: Uint8Array): string {
  const text = nameToText(name);
  return text === "." ? text : `${text}.`;
}

function strings(octets: Uint8Array): string {
  const texts: string[] = [];
  for (let offset = 0; offset < octets.length; offset += 1 + octets[offset]!) {
    const part = octets.subarray(offset + 1, offset + 1 + octets[offset]!);
    // Printable ASCII stands for itself: control characters must not play with the terminal.
    const text = Array.from(part, (octet) =>
      octet < 0x20 || octet > 0x7e
        ? `\\${String(octet).padStart(3, "0")}`
        : String.fromCharCode(octet).replace(/["\\]/, "\\$&"),
    );
    texts.push(`"${text.join("")}"`);
  }
  return texts.join(" ");
}
