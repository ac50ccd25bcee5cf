/** What the gateway has set: whose connections may leave, and from which addresses. */
import { isMapped } from "../core/address";
import { setHashKey } from "../core/hash";
import { addCandidate, beginSharing, NO_ADDRESS, SHARES, shareOf, shareOut } from "../core/pairing";
import { NetRecord, SettingsHeader } from "./format";

@unmanaged
@final
class Net {
  lo: u64;
  hi: u64;
  maskLo: u64;
  maskHi: u64;
}
const NET_SIZE: usize = 32;
if (offsetof<Net>() != 32) ERROR("Net must be 32 bytes");

const MAX_NETS: u32 = 256;
const MAX_SNAT_ADDRESSES: u32 = 1024;
const INTERNAL = memory.data(256 * 32, 16);
const NAT = memory.data(256 * 32, 16);
const SNAT = memory.data(1024 * 24, 16);
const SHARES4 = memory.data(2 * 16384, 16);
const SHARES6 = memory.data(2 * 16384, 16);
if (SHARES != 16384) ERROR("SHARES4 and SHARES6 must have room for all shares");

/** False until the first settings have come. */
export let settingsKnown: bool = false;
export let active: bool = false;
export let dualStack: bool = false;
let internalNets: u32 = 0;
let natSubnets: u32 = 0;
let snatAddresses: u32 = 0;

/** Takes over what the feed says. False: it is malformed, and everything stays as it was. */
export function applySettings(p: usize, size: u32): bool {
  const header = changetype<SettingsHeader>(p);
  if (size < offsetof<SettingsHeader>()) return false;
  const nets = header.internalNets;
  const nats = header.natSubnets;
  const addresses = header.snatAddresses;
  if (nets > MAX_NETS || nats > MAX_NETS || addresses > MAX_SNAT_ADDRESSES) return false;
  if (size != offsetof<SettingsHeader>() + (nets + nats + addresses) * <u32>offsetof<NetRecord>()) return false;
  active = header.active != 0;
  dualStack = header.dualStack != 0;
  if (!settingsKnown) setHashKey(header.key0, header.key1);
  let at = p + offsetof<SettingsHeader>();
  at = readNets(INTERNAL, at, nets);
  at = readNets(NAT, at, nats);
  memory.copy(SNAT, at, <usize>addresses * offsetof<NetRecord>());
  internalNets = nets;
  natSubnets = nats;
  snatAddresses = addresses;
  share(SHARES4, true);
  share(SHARES6, false);
  settingsKnown = true;
  return true;
}

function readNets(table: usize, from: usize, count: u32): usize {
  for (let i: u32 = 0; i < count; i++) {
    const record = changetype<NetRecord>(from + <usize>i * offsetof<NetRecord>());
    const net = changetype<Net>(table + <usize>i * NET_SIZE);
    net.maskLo = mask(record.length);
    net.maskHi = mask(record.length > 64 ? record.length - 64 : 0);
    net.lo = record.lo & net.maskLo;
    net.hi = record.hi & net.maskHi;
  }
  return from + <usize>count * offsetof<NetRecord>();
}

/** Of eight bytes in wire order, loaded little-endian. */
function mask(length: u32): u64 {
  if (length == 0) return 0;
  return length >= 64 ? ~(<u64>0) : bswap<u64>(~(<u64>0) << (64 - length));
}

function matches(table: usize, count: u32, lo: u64, hi: u64): bool {
  for (let i: u32 = 0; i < count; i++) {
    const net = changetype<Net>(table + <usize>i * NET_SIZE);
    if ((lo & net.maskLo) == net.lo && (hi & net.maskHi) == net.hi) return true;
  }
  return false;
}

export function isInternal(lo: u64, hi: u64): bool {
  return matches(INTERNAL, internalNets, lo, hi);
}

/** The address belongs to a DNS46 pool. */
export function isNatAddress(lo: u64, hi: u64): bool {
  return matches(NAT, natSubnets, lo, hi);
}

function share(shares: usize, four: bool): void {
  beginSharing();
  for (let i: u32 = 0; i < snatAddresses; i++) {
    const address = snatAddress(i);
    if (isMapped(address.lo, address.hi) == four) addCandidate(address.lo, address.hi, i);
  }
  shareOut(shares);
}

export function snatAddress(index: u32): NetRecord {
  return changetype<NetRecord>(SNAT + <usize>index * offsetof<NetRecord>());
}

/** The SNAT address of the family for a Pod, or -1 when there is none. */
export function pairedAddress(four: bool, podLo: u64, podHi: u64): i32 {
  const index = load<u16>((four ? SHARES4 : SHARES6) + (shareOf(podLo, podHi) << 1));
  return index == NO_ADDRESS ? -1 : <i32>index;
}
