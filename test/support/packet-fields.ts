/** A packet as flat fields, for comparing two packets field by field. Never throws: what can't be read is `rest`. */
import { bytesToIpv6 } from "../../src/addresses.ts";
import { get16, onesSum, pseudoHeader } from "./packets.ts";

export type Fields = Readonly<Record<string, string | number>>;

/** Bytes behind the length that the IP header tells aren't part of the packet. */
export function fieldsOf(ip: Uint8Array): Fields {
  const version = (ip[0] ?? 0) >> 4;
  const told = version === 4 ? get16(ip, 2) : get16(ip, 4) + 40;
  return read(ip.subarray(0, told >= 20 ? told : ip.length));
}

function read(ip: Uint8Array): Fields {
  const version = (ip[0] ?? 0) >> 4;
  if (version === 4 && ip.length >= 20) return fields4(ip);
  return version === 6 && ip.length >= 40 ? fields6(ip) : { rest: hex(ip) };
}

function quoted(ip: Uint8Array): Fields {
  return Object.fromEntries(Object.entries(read(ip)).map(([name, value]) => [`quote.${name}`, value]));
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function fields4(ip: Uint8Array): Fields {
  const length = (ip[0]! & 15) * 4;
  const flags = get16(ip, 6);
  const source = ip.subarray(12, 16).join(".");
  const destination = ip.subarray(16, 20).join(".");
  const whole = (flags & 0x3fff) === 0;
  return {
    version: 4,
    headerLength: length,
    tos: ip[1]!,
    length: get16(ip, 2),
    id: get16(ip, 4),
    df: (flags >> 14) & 1,
    more: (flags >> 13) & 1,
    offset: (flags & 0x1fff) * 8,
    ttl: ip[8]!,
    protocol: ip[9]!,
    headerSum: onesSum(ip.subarray(0, length)) === 0xffff ? "right" : "wrong",
    source,
    destination,
    ...transport(ip[9]!, ip.subarray(length), whole, get16(ip, 2) - length, source, destination),
  };
}

function fields6(ip: Uint8Array): Fields {
  const source = bytesToIpv6(ip.subarray(8, 24));
  const destination = bytesToIpv6(ip.subarray(24, 40));
  let next = ip[6]!;
  let at = 40;
  const headers: number[] = [];
  while ([0, 43, 60].includes(next) && at + 8 <= ip.length) {
    headers.push(next);
    next = ip[at]!;
    at += (ip[at + 1]! + 1) * 8;
  }
  let fragment: Fields = {};
  let whole = true;
  if (next === 44 && at + 8 <= ip.length) {
    const field = get16(ip, at + 2);
    fragment = {
      fragment: 1,
      id: Buffer.from(ip).readUInt32BE(at + 4),
      more: field & 1,
      offset: field & 0xfff8,
    };
    whole = (field & 0xfff9) === 0;
    next = ip[at]!;
    at += 8;
  }
  return {
    version: 6,
    extensions: headers.join(" "),
    tos: (get16(ip, 0) >> 4) & 255,
    flow: ((ip[1]! & 15) << 16) | get16(ip, 2),
    length: get16(ip, 4),
    ttl: ip[7]!,
    ...fragment,
    protocol: next,
    source,
    destination,
    ...transport(next, ip.subarray(at), whole, get16(ip, 4) + 40 - at, source, destination),
  };
}

function transport(
  protocol: number,
  bytes: Uint8Array,
  whole: boolean,
  told: number,
  source: string,
  destination: string,
): Fields {
  const complete = whole && bytes.length === told;
  const pseudo = () => pseudoHeader(source, destination, told, protocol);
  const summed = { 1: 2, 58: 2, 6: 16, 17: 6 }[protocol];
  const field = summed !== undefined && bytes.length >= summed + 2 ? get16(bytes, summed) : -1;
  const right = () => (onesSum(pseudo(), bytes) === 0xffff ? "right" : "wrong");
  const sum = field < 0 ? "none" : protocol === 17 && field === 0 ? "zero" : complete ? right() : `${field}`;
  if ((protocol === 1 || protocol === 58) && whole && bytes.length >= 8) {
    const type = bytes[0]!;
    const error = protocol === 1 ? [3, 4, 5, 11, 12].includes(type) : type < 128;
    return {
      type,
      code: bytes[1]!,
      word: hex(bytes.subarray(4, 8)),
      sum,
      ...(error ? { size: bytes.length, ...quoted(bytes.subarray(8)) } : { data: hex(bytes.subarray(8)) }),
    };
  }
  const data = bytes.slice();
  if (field >= 0) data.set([0, 0], summed!);
  return { sum, size: bytes.length, data: hex(data) };
}

/** Names of the fields that differ. */
export function differing(a: Fields, b: Fields): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]);
}
