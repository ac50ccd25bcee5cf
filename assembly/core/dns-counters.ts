/** What the cache of DNS answers counts; never reset. */
@unmanaged
@final
export class DnsCacheCounters {
  hits: u64;
  /** Asked elsewhere: not there, expired, too long for the client, or not for the cache. */
  misses: u64;
  /** Answers kept now, expired ones among them. */
  entries: u64;
  /** Answers that made room for others before they expired. */
  evictions: u64;
  /** Questions asked anew before their answer expired. */
  refreshes: u64;
  /** Expired answers given (RFC 8767). */
  stale: u64;
  /** Hits with a DNS46 address. */
  synthesized: u64;
}
if (offsetof<DnsCacheCounters>() != 56) ERROR("DnsCacheCounters must be 56 bytes");

const RECORD = memory.data(56, 64);
/** Hits by type (typeIndex) and by RCODE. */
const TYPES = memory.data(8 * 8, 64);
const RCODES = memory.data(8 * 16, 64);

export const dnsCounters: DnsCacheCounters = changetype<DnsCacheCounters>(RECORD);
export const dnsTypeCounters: usize = TYPES;
export const dnsRcodeCounters: usize = RCODES;

export function countHit(type: u32, rcode: u32, synthesized: bool): void {
  dnsCounters.hits++;
  if (synthesized) dnsCounters.synthesized++;
  bump(TYPES + (<usize>typeIndex(type) << 3));
  bump(RCODES + (<usize>rcode << 3));
}

// @ts-ignore: decorator
@inline
function bump(p: usize): void {
  store<u64>(p, load<u64>(p) + 1);
}

/** A, AAAA, PTR, SRV, TXT, MX, HTTPS, any other: the order of `hitTypes` in src/dns/cache-counts.ts. */
function typeIndex(type: u32): u32 {
  switch (type) {
    case 1:
      return 0;
    case 28:
      return 1;
    case 12:
      return 2;
    case 33:
      return 3;
    case 16:
      return 4;
    case 15:
      return 5;
    case 65:
      return 6;
    default:
      return 7;
  }
}
