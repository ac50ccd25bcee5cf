/**
 * Queries that a cache may answer: a plain question, perhaps with an OPT record without options. Whatever else is in one
 * (cookies, client subnets, signatures, other opcodes or classes) may make the answer another: it goes to the proxy.
 */
import { mix, scramble } from "./hash";
import { DNS_HEADER, ONE_BE, TYPE_OPT, nameLengthAt } from "./wire/dns";

/** Of the flags as loaded little-endian: RD, AD, CD. */
const RD: u32 = 0x0001;
const AD: u32 = 0x2000;
const CD: u32 = 0x1000;
/** OPT's TTL field as loaded little-endian: no extended RCODE, version 0, of the flags DO alone. */
const DNSSEC_OK: u32 = 0x00800000;
const OPT_BYTES: u32 = 11;
/** RFC 6891 §6.2.3. */
const UDP_SIZE: u32 = 512;
/** DNS flag day 2020: larger datagrams risk fragmentation. What an upstream dares is the proxy's to pass on. */
const LARGEST_UDP: u32 = 1232;

/** The key of an answer: type in bits 0–15, what else the answer depends on in 16–23, length of the name in 24–31. */
const KEY_RD: u32 = 1 << 16;
const KEY_AD: u32 = 1 << 17;
const KEY_CD: u32 = 1 << 18;
const KEY_EDNS: u32 = 1 << 19;
const KEY_DO: u32 = 1 << 20;

/** Bytes that the client takes over UDP, from a cache. */
export let udpSize: u32 = UDP_SIZE;

const FOLDED = memory.data(264, 8);
/** The name of foldName(), padded with zeros to whole words. */
export const foldedName: usize = FOLDED;

/** → key, and `udpSize`; 0 = not for the cache. */
export function readQuery(p: usize, length: u32): u32 {
  if (length < DNS_HEADER + 5) return 0;
  const flags: u32 = load<u16>(p, 2);
  if ((flags & ~(RD | AD | CD)) != 0) return 0;
  // One question, no answer, no authority, at most one additional record.
  if (load<u32>(p, 4) != ONE_BE) return 0;
  const additional = load<u32>(p, 8);
  if ((additional & ~0x01000000) != 0) return 0;
  const end = p + length;
  const nameLength = nameLengthAt(p + DNS_HEADER, end);
  const question = p + DNS_HEADER + nameLength;
  if (nameLength == 0 || question + 4 > end || load<u16>(question, 2) != ONE_BE) return 0;
  const type: u32 = bswap<u16>(load<u16>(question));
  // RFC 6895 §3.1: types that are no data.
  if (type == 0 || type == TYPE_OPT || (type >= 128 && type < 256)) return 0;
  let key = type | (nameLength << 24);
  if (flags & RD) key |= KEY_RD;
  if (flags & AD) key |= KEY_AD;
  if (flags & CD) key |= KEY_CD;
  udpSize = UDP_SIZE;
  if (additional == 0) return question + 4 == end ? key : 0;
  const opt = question + 4;
  if (opt + OPT_BYTES != end || load<u8>(opt) != 0 || load<u16>(opt, 1) != TYPE_OPT << 8) return 0;
  const extended = load<u32>(opt, 5);
  if ((extended & ~DNSSEC_OK) != 0 || load<u16>(opt, 9) != 0) return 0;
  udpSize = min(max(UDP_SIZE, <u32>bswap<u16>(load<u16>(opt, 3))), LARGEST_UDP);
  return key | KEY_EDNS | (extended != 0 ? KEY_DO : 0);
}

/** ASCII letters small, eight octets at a time (RFC 4343); lengths of labels are below the letters. → keyed hash. */
export function foldName(p: usize, length: u32): u32 {
  let hash = mix(length);
  for (let i: u32 = 0; i < length; i += 8) {
    let word = load<u64>(p + i);
    if (i + 8 > length) word &= (<u64>1 << (<u64>(length - i) << 3)) - 1;
    word = foldWord(word);
    store<u64>(FOLDED + i, word);
    // Nothing less: whoever chooses the names must not find two that meet under every key.
    hash = scramble(hash ^ word);
  }
  return <u32>hash;
}

// @ts-ignore: decorator
@inline
function foldWord(word: u64): u64 {
  const low = word & 0x7f7f7f7f7f7f7f7f;
  // The top bit of each octet: not below 'A', above 'Z'.
  const notBelow = low + 0x3f3f3f3f3f3f3f3f;
  const above = low + 0x2525252525252525;
  return word | (((notBelow ^ above) & ~word & 0x8080808080808080) >> 2);
}
