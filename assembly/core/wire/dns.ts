/**
 * DNS messages, read in place (RFC 1035 §4.1).
 *
 * |                      ID                       |
 * |QR|  OPCODE   |AA|TC|RD|RA| Z|AD|CD|   RCODE   |
 * |       QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT      |
 *
 * A record behind its owner: |TYPE|CLASS|TTL (4)|RDLENGTH|RDATA…|. Every length is checked here, once.
 */
@unmanaged
@final
export class DnsMessage {
  /** The word of flags, host order. */
  flags: u32;
  /** Bytes of the question's name, its last zero included. */
  nameLength: u32;
  type: u32;
  klass: u32;
  answers: u32;
  authorities: u32;
  additionals: u32;
  /** Address of the first record. */
  records: usize;
  /** Address of the OPT record's TYPE field; 0 = none. */
  opt: usize;
  /** Address behind the last record. */
  end: usize;
}
if (offsetof<DnsMessage>() != 40) ERROR("DnsMessage must be 40 bytes");

const RECORD = memory.data(40, 8);
export const dnsMessage: DnsMessage = changetype<DnsMessage>(RECORD);

export const DNS_HEADER: u32 = 12;
/** QDCOUNT 1, class IN, as loaded little-endian. */
export const ONE_BE: u32 = 0x0100;
export const TYPE_A: u32 = 1;
export const TYPE_OPT: u32 = 41;
export const TYPE_TSIG: u32 = 250;
/** Of the word of flags. */
export const DNS_RESPONSE: u32 = 0x8000;
export const DNS_OPCODE: u32 = 0x7800;
export const DNS_TRUNCATED: u32 = 0x0200;
/** From a record's TYPE field. */
export const RECORD_FIXED: u32 = 10;

const NAME_MAX: u32 = 255;
const LABEL_MAX: u32 = 63;
const POINTER: u32 = 0xc0;

/** Bytes of the uncompressed name at `p`; 0 = malformed, or beyond `end`. */
export function nameLengthAt(p: usize, end: usize): u32 {
  let length: u32 = 0;
  while (length < NAME_MAX && p + length < end) {
    const label: u32 = load<u8>(p + length);
    if (label == 0) return length + 1;
    if (label > LABEL_MAX) return 0;
    length += 1 + label;
  }
  return 0;
}

/** Address behind the name at `p`, which a compression pointer may end; 0 = malformed, or beyond `end`. */
export function skipName(p: usize, end: usize): usize {
  const start = p;
  while (p < end && p - start < NAME_MAX) {
    const label: u32 = load<u8>(p);
    if (label == 0) return p + 1;
    if (label >= POINTER) return p + 2 <= end ? p + 2 : 0;
    if (label > LABEL_MAX) return 0;
    p += 1 + label;
  }
  return 0;
}

/** Address of the TYPE field of the record at `p`, whose data lies before `end`, too; 0 = malformed. */
export function recordAt(p: usize, end: usize): usize {
  const fixed = skipName(p, end);
  if (fixed == 0 || fixed + RECORD_FIXED > end || afterRecord(fixed) > end) return 0;
  return fixed;
}

// @ts-ignore: decorator
@inline
export function afterRecord(fixed: usize): usize {
  return fixed + RECORD_FIXED + <usize>bswap<u16>(load<u16>(fixed, 8));
}

// @ts-ignore: decorator
@inline
export function recordType(fixed: usize): u32 {
  return bswap<u16>(load<u16>(fixed));
}

/** The whole message, with exactly one question → `dnsMessage`; false = its counts or lengths don't fit its bytes. */
export function scanMessage(p: usize, length: u32): bool {
  if (length < DNS_HEADER || load<u16>(p, 4) != ONE_BE) return false;
  const end = p + length;
  const m = dnsMessage;
  m.nameLength = nameLengthAt(p + DNS_HEADER, end);
  const question = p + DNS_HEADER + m.nameLength;
  if (m.nameLength == 0 || question + 4 > end) return false;
  m.flags = bswap<u16>(load<u16>(p, 2));
  m.type = bswap<u16>(load<u16>(question));
  m.klass = bswap<u16>(load<u16>(question, 2));
  m.answers = bswap<u16>(load<u16>(p, 6));
  m.authorities = bswap<u16>(load<u16>(p, 8));
  m.additionals = bswap<u16>(load<u16>(p, 10));
  m.records = question + 4;
  m.opt = 0;
  const others = m.answers + m.authorities;
  let at = m.records;
  for (let i: u32 = 0; i < others + m.additionals; i++) {
    const fixed = recordAt(at, end);
    if (fixed == 0) return false;
    if (recordType(fixed) == TYPE_OPT) {
      // RFC 6891 §6.1.1: one OPT, in the additional section, owned by the root.
      if (m.opt != 0 || i < others || fixed != at + 1) return false;
      m.opt = fixed;
    }
    at = afterRecord(fixed);
  }
  m.end = at;
  return true;
}
