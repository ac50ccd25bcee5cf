/** DNS messages bent at random, and what is due to each: a slow reading of RFC 1035, RFC 2671 and RFC 6891, apart from ours. */
import dnsPacket, { type RecordType } from "dns-packet";

type Random = (below: number) => number;
/** `answer`: whatever the upstream says. */
export type Due = "silence" | "answer" | "FORMERR" | "NOTIMP" | "BADVERS";

const types = ["A", "AAAA", "TXT", "MX", "PTR", "ANY", "NS"] as const;

export function mutant(random: Random, names: readonly string[]): Buffer {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  if (random(20) === 0) return Buffer.from(Array.from({ length: random(600) }, () => random(256)));
  const opt = { type: "OPT", name: ".", udpPayloadSize: random(5000), flags: random(2) << 15, options: [] };
  const bytes = dnsPacket.encode({
    type: "query",
    id: 0,
    flags: random(65536) & 0x0130,
    questions: [{ name: pick(names), type: pick(types) as RecordType }],
    additionals: random(2) === 0 ? [] : [opt as never],
  });
  for (let changes = random(5); changes > 0; changes--) {
    // Headers and lengths matter most.
    const at = random(3) === 0 ? 2 + random(10) : random(bytes.length);
    bytes[at] = random(4) === 0 ? pick([0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff]) : random(256);
  }
  const cut = random(5) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
  return random(10) === 0 ? Buffer.concat([cut, bytes]) : Buffer.from(cut);
}

class Malformed extends Error {}

export function due(bytes: Buffer): Due {
  if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return "silence";
  if ((bytes[2]! & 0x78) !== 0) return "NOTIMP";
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof Malformed) return "FORMERR";
    throw error;
  }
}

function read(bytes: Buffer): Due {
  let at = 12;
  const octet = () => {
    if (at >= bytes.length) throw new Malformed();
    return bytes[at++]!;
  };
  const u16 = () => octet() * 256 + octet();
  const name = (compressed: boolean) => {
    for (let length = 0; ; ) {
      const label = octet();
      length += 1 + label;
      if (label === 0) return;
      if (label >= 0xc0 && compressed) {
        octet();
        return;
      }
      if (label > 63) throw new Malformed();
      for (let index = 0; index < label; index++) octet();
      if (length >= 255) throw new Malformed();
    }
  };
  const [questions, ...counts] = [4, 6, 8, 10].map((offset) => bytes.readUInt16BE(offset));
  if (questions !== 1 || (bytes[2]! & 2) !== 0) throw new Malformed();
  name(false);
  const type = u16();
  u16();
  let version: number | undefined;
  for (const [section, count] of counts.entries())
    for (let index = 0; index < count; index++) {
      const root = bytes[at] === 0;
      name(true);
      const isOpt = u16() === 41;
      u16();
      octet();
      const second = octet();
      u16();
      const length = u16();
      for (let left = length; left > 0; left--) octet();
      if (!isOpt) continue;
      if (version !== undefined || section !== 2 || !root) throw new Malformed();
      version = second;
    }
  if (version !== undefined && version !== 0) return "BADVERS";
  return type === 251 || type === 252 ? "NOTIMP" : "answer";
}
