/**
 * SNAT pool addresses: which one a Pod gets (paired pooling, RFC 4787 REQ-2), how return traffic finds it, and which
 * ports of it are taken by endpoint-independent bindings.
 */
import { reserve } from "./arena";
import { sumAddress } from "./checksum";
import { addCandidate, beginSharing, NO_ADDRESS, SHARES, shareOf, shareOut } from "./pairing";
import { clearPoolUse } from "./pool-use";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";

@unmanaged
@final
export class PoolAddress {
  lo: u64;
  hi: u64;
  /** Where return traffic arrives: the address itself, or under automap the alias that the host rewrites it to. */
  inboundLo: u64;
  inboundHi: u64;
  firstPort: u32;
  lastPort: u32;
  /** 4 or 6; 0 = free place. */
  family: u32;
  /** Goes up when the place is given to another address: sessions of the old one are then dead. */
  generation: u32;
  /** Folded sums for checksum deltas. */
  sum: u32;
  inboundSum: u32;
  /** 65,536 bits each: ports, ICMP identifiers in use; the TCP ports of bindings lie behind them. */
  udpPorts: usize;
  icmpIds: usize;
}
if (offsetof<PoolAddress>() != 64) ERROR("PoolAddress must be 64 bytes");

export const MAX_POOL_ADDRESSES: u32 = 1024;
const BITMAP_BYTES: usize = 8192;
/** Of an address: UDP, ICMP, TCP. */
const BITMAPS: usize = 3;
/** Places of the look-up by inbound address: load ≤ 1/4. */
const LOOKUP_PLACES: u32 = 4096;

const LOOKUP = memory.data(2 * 4096, 64);
const SHARES4 = memory.data(2 * 16384, 64);
const SHARES6 = memory.data(2 * 16384, 64);
if (SHARES != 16384) ERROR("SHARES4 and SHARES6 must have room for all shares");

let table: usize = 0;
/** Places of the table that were ever in use. */
let places: u32 = 0;

export function initPool(): bool {
  table = reserve(<u64>MAX_POOL_ADDRESSES * offsetof<PoolAddress>());
  const bitmaps = reserve(<u64>MAX_POOL_ADDRESSES * BITMAP_BYTES * BITMAPS);
  if (table == 0 || bitmaps == 0) return false;
  for (let i: u32 = 0; i < MAX_POOL_ADDRESSES; i++) {
    poolAddress(i).udpPorts = bitmaps + <usize>i * BITMAP_BYTES * BITMAPS;
    poolAddress(i).icmpIds = poolAddress(i).udpPorts + BITMAP_BYTES;
  }
  indexPool();
  return true;
}

/** Where the table is, for the host. */
export function poolAddressTable(): usize {
  return table;
}

// @ts-ignore: decorator
@inline
export function poolAddress(index: u32): PoolAddress {
  return changetype<PoolAddress>(table + (<usize>index << 6));
}

/** Which ports of the address bindings of the protocol have. */
export function portBitmap(address: PoolAddress, protocol: u32): usize {
  if (protocol == PROTOCOL_UDP) return address.udpPorts;
  return protocol == PROTOCOL_TCP ? address.icmpIds + BITMAP_BYTES : address.icmpIds;
}

/** Under automap the address is the host's own, and return traffic arrives at an alias. */
// @ts-ignore: decorator
@inline
export function isAutomap(address: PoolAddress): bool {
  return address.hi != address.inboundHi || address.lo != address.inboundLo;
}

/** Index of the new address, or -1 when there is no place (or no port in the range). Call indexPool after a series of changes. */
export function addPoolAddress(
  family: u32,
  lo: u64,
  hi: u64,
  inboundLo: u64,
  inboundHi: u64,
  firstPort: u32,
  lastPort: u32,
): i32 {
  if (firstPort == 0 || firstPort > lastPort || lastPort > 0xffff) return -1;
  for (let i: u32 = 0; i < MAX_POOL_ADDRESSES; i++) {
    const entry = poolAddress(i);
    if (entry.family != 0) continue;
    entry.lo = lo;
    entry.hi = hi;
    entry.inboundLo = inboundLo;
    entry.inboundHi = inboundHi;
    entry.firstPort = firstPort;
    entry.lastPort = lastPort;
    entry.family = family;
    // For IPv4 only the last four bytes stand in a header.
    entry.sum = family == 4 ? sumAddress(0, hi & 0xffffffff00000000) : sumAddress(lo, hi);
    entry.inboundSum =
      family == 4 ? sumAddress(0, inboundHi & 0xffffffff00000000) : sumAddress(inboundLo, inboundHi);
    memory.fill(entry.udpPorts, 0, BITMAP_BYTES * BITMAPS);
    clearPoolUse(i);
    places = max(places, i + 1);
    return i;
  }
  return -1;
}

/** The sessions of the address are dead from here on; they are swept. */
export function removePoolAddress(index: u32): void {
  const entry = poolAddress(index);
  entry.family = 0;
  entry.generation = (entry.generation + 1) & 0xffff;
}

/** Rebuilds the look-up by inbound address and the shares of both families. */
export function indexPool(): void {
  memory.fill(LOOKUP, 0xff, LOOKUP_PLACES << 1);
  for (let i: u32 = 0; i < places; i++) {
    const entry = poolAddress(i);
    if (entry.family == 0) continue;
    let place = lookupHome(entry.inboundLo, entry.inboundHi);
    while (load<u16>(LOOKUP + (place << 1)) != NO_ADDRESS) place = (place + 1) & (LOOKUP_PLACES - 1);
    store<u16>(LOOKUP + (place << 1), <u16>i);
  }
  share(SHARES4, 4);
  share(SHARES6, 6);
}

/** Without a key (Fibonacci hashing): what stands in the table is the operator's choice, not an outsider's. */
// @ts-ignore: decorator
@inline
function lookupHome(lo: u64, hi: u64): u32 {
  return <u32>(((lo ^ rotl<u64>(hi, 23)) * 0x9e3779b97f4a7c15) >> 52);
}
if (LOOKUP_PLACES != 1 << (64 - 52)) ERROR("lookupHome() gives 12 bits");

/** Index of the pool address at which return traffic to this destination arrives, or -1. */
// @ts-ignore: decorator
@inline
export function findInbound(lo: u64, hi: u64): i32 {
  let place = lookupHome(lo, hi);
  while (true) {
    const index = load<u16>(LOOKUP + (place << 1));
    if (index == NO_ADDRESS) return -1;
    const entry = poolAddress(index);
    if (entry.inboundHi == hi) if (entry.inboundLo == lo) return <i32>index;
    place = (place + 1) & (LOOKUP_PLACES - 1);
  }
}

/** Index of the pool address whose own address (not its alias) this is, or -1. Not for the packet path. */
function findPoolAddress(lo: u64, hi: u64): i32 {
  const index = findInbound(lo, hi);
  return index >= 0 && !isAutomap(poolAddress(index)) ? index : -1;
}

/**
 * Whether what goes to this address and port (host order, or ICMP identifier) comes back to us. Of an address that
 * workers share, the ports that we don't have are other workers'; nobody has well-known ones.
 */
export function comesBack(lo: u64, hi: u64, port: u32): bool {
  const index = findPoolAddress(lo, hi);
  if (index < 0) return false;
  const entry = poolAddress(index);
  return port < 1024 || (port >= entry.firstPort && port <= entry.lastPort);
}

function share(shares: usize, family: u32): void {
  beginSharing();
  for (let i: u32 = 0; i < places; i++) {
    const entry = poolAddress(i);
    if (entry.family == family) addCandidate(entry.lo, entry.hi, i);
  }
  shareOut(shares);
}

/** The pool address of the family for a Pod, or -1 when the pool has none. */
export function pairedAddress(family: u32, podLo: u64, podHi: u64): i32 {
  const index = load<u16>((family == 4 ? SHARES4 : SHARES6) + (shareOf(podLo, podHi) << 1));
  return index == NO_ADDRESS ? -1 : <i32>index;
}
