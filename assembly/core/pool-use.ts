/**
 * How each SNAT address is used, by protocol (RFC 6888 §4: what a CGN's operator watches). The host reads it while the
 * worker runs.
 */
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./protocol";

export enum PoolProtocol {
  TCP,
  UDP,
  ICMP,
}
const PROTOCOLS: u32 = PoolProtocol.ICMP + 1;

@unmanaged
@final
export class PoolUse {
  /** Bindings, each of which has a port or an identifier of its own; of protocols mapped by remote end: sessions. */
  inUse: u64;
  /** Of those, how many there ever were. */
  allocated: u64;
  /** How often no port was free. */
  exhausted: u64;
}
if (offsetof<PoolUse>() != 24) ERROR("PoolUse must be 24 bytes");

/** One for each place of the pool and protocol: 3 × 24 bytes a place. */
const TABLE = memory.data(1024 * 72, 64);
export const poolUseTable: usize = TABLE;

// @ts-ignore: decorator
@inline
function useOf(pool: u32, protocol: u32): PoolUse {
  const index =
    protocol == PROTOCOL_TCP ? PoolProtocol.TCP : protocol == PROTOCOL_UDP ? PoolProtocol.UDP : PoolProtocol.ICMP;
  return changetype<PoolUse>(TABLE + <usize>(pool * PROTOCOLS + index) * offsetof<PoolUse>());
}

export function countAllocated(pool: u32, protocol: u32): void {
  const use = useOf(pool, protocol);
  use.inUse++;
  use.allocated++;
}

/** Only while the address is the one that it was allocated from. */
export function countReleased(pool: u32, protocol: u32): void {
  useOf(pool, protocol).inUse--;
}

export function countExhausted(pool: u32, protocol: u32): void {
  useOf(pool, protocol).exhausted++;
}

/** Another address has the place. */
export function clearPoolUse(pool: u32): void {
  memory.fill(TABLE + <usize>(pool * PROTOCOLS) * offsetof<PoolUse>(), 0, PROTOCOLS * offsetof<PoolUse>());
}
