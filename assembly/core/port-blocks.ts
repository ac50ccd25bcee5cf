/**
 * Deterministic port blocks (RFC 7422): the position of a Pod's address within the internal networks says which pool
 * address it has, and which ports of it. Nothing is stored for a Pod; src/engine/port-blocks.ts computes the same.
 */
import { MAX_POOL_ADDRESSES } from "./snat-pool";

/** What the host writes with each change of networks or pool. */
@unmanaged
@final
export class PortBlocks {
  /** Ports of a block; 0 = Pods share the ports of their pool address. */
  size: u32;
  netCount: u32;
  /** Blocks on each pool address, by outer family. */
  perAddress4: u32;
  perAddress6: u32;
  /** Entries of the pool orders. */
  count4: u32;
  count6: u32;
}
if (offsetof<PortBlocks>() != 24) ERROR("PortBlocks must be 24 bytes");

/** An internal network, addresses as address.ts forms them. */
@unmanaged
@final
export class BlockNet {
  lo: u64;
  hi: u64;
  maskLo: u64;
  maskHi: u64;
  /** Position of the network's own address. */
  first: u64;
}
if (offsetof<BlockNet>() != 40) ERROR("BlockNet must be 40 bytes");

const RECORD = memory.data(24, 8);
const NETS = memory.data(40 * 256, 16);
/** Places of the pool's addresses in the order in which blocks are counted off: IPv4's, then IPv6's. */
const ORDER = memory.data(2 * 1024 * 2, 16);

export const portBlocks: PortBlocks = changetype<PortBlocks>(RECORD);
export const blockNets: usize = NETS;
export const blockOrder: usize = ORDER;

/** The position of an address that has none. */
const NOWHERE: u64 = u64.MAX_VALUE;

/** How many addresses of the internal networks come before this one. */
function positionOf(lo: u64, hi: u64): u64 {
  for (let i: u32 = 0; i < portBlocks.netCount; i++) {
    const net = changetype<BlockNet>(NETS + <usize>i * offsetof<BlockNet>());
    if ((lo & net.maskLo) != net.lo || (hi & net.maskHi) != net.hi) continue;
    const offset = bswap<u64>(hi & ~net.maskHi);
    // No pool has so many blocks.
    return (lo & ~net.maskLo) != 0 || offset > 0xffffffff ? NOWHERE : net.first + offset;
  }
  return NOWHERE;
}

/** The block of a Pod on addresses of the family: its number there, counted over all of them; -1 = it has none. */
export function blockOf(family: u32, podLo: u64, podHi: u64): i64 {
  const position = positionOf(podLo, podHi);
  const blocks =
    family == 4
      ? <u64>portBlocks.count4 * portBlocks.perAddress4
      : <u64>portBlocks.count6 * portBlocks.perAddress6;
  return position < blocks ? <i64>position : -1;
}

/** Place of the pool address that the block lies on, or 0xffff when it could not be added. */
export function addressOfBlock(family: u32, block: u32): u32 {
  const rank = block / (family == 4 ? portBlocks.perAddress4 : portBlocks.perAddress6);
  return load<u16>(ORDER + (((family == 4 ? 0 : <usize>MAX_POOL_ADDRESSES) + rank) << 1));
}

/** First port of the block, counted from the address's first one. */
export function offsetOfBlock(family: u32, block: u32): u32 {
  return (block % (family == 4 ? portBlocks.perAddress4 : portBlocks.perAddress6)) * portBlocks.size;
}
