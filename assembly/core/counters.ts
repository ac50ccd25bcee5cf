/**
 * Counters live in shared memory so that the host reads them without stopping the worker. They are never reset.
 */
import { DROP_REASONS, DropReason } from "./verdict";

/** The virtual servers of the specification, in the order of its tables. */
export enum VirtualServer {
  EGRESS_IPV6,
  EGRESS_IPV4,
  EGRESS_IPV4_NAT46,
  EGRESS_IPV6_NAT64,
}

/** A way through the engine; index of the packet and byte counters. */
export enum Path {
  OUT_46,
  IN_64,
  OUT_44,
  IN_44,
  OUT_66,
  IN_66,
  DNS,
  HANDED_BACK,
  ICMP_ERROR,
  OUT_64,
  IN_46,
}
const PATHS: u32 = Path.IN_46 + 1;

@unmanaged
@final
export class Counters {
  /** Sessions ever made, by VirtualServer. */
  connections0: u64;
  connections1: u64;
  connections2: u64;
  connections3: u64;
  /** Sessions alive, by VirtualServer. */
  alive0: u64;
  alive1: u64;
  alive2: u64;
  alive3: u64;
  mappings: u64;
  bindings: u64;
}

const DROPS = memory.data(8 * 64, 64);
const PACKETS = memory.data(8 * 16, 64);
const BYTES = memory.data(8 * 16, 64);
const RECORD = memory.data(8 * 10, 64);
if (DROP_REASONS > 64 || PATHS > 16 || offsetof<Counters>() > 80) ERROR("more counters than memory");

export const counters: Counters = changetype<Counters>(RECORD);
export const dropCounters: usize = DROPS;
export const packetCounters: usize = PACKETS;
export const byteCounters: usize = BYTES;

// @ts-ignore: decorator
@inline
function bump(p: usize, by: u64): void {
  store<u64>(p, load<u64>(p) + by);
}

export function countDrop(reason: DropReason): void {
  bump(DROPS + (<usize>reason << 3), 1);
}

// @ts-ignore: decorator
@inline
export function countPath(path: Path, bytes: u32): void {
  bump(PACKETS + (<usize>path << 3), 1);
  bump(BYTES + (<usize>path << 3), bytes);
}

/** Of all virtual servers. */
export function sessionsAlive(): u64 {
  return counters.alive0 + counters.alive1 + counters.alive2 + counters.alive3;
}

export function countSession(server: VirtualServer, by: i64): void {
  if (by > 0) bump(RECORD + (<usize>server << 3), 1);
  bump(RECORD + offsetof<Counters>("alive0") + (<usize>server << 3), by);
}
