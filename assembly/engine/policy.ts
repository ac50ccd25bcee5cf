/**
 * Whose packets may leave, and how: internal prefixes → egress policy. The host writes the tables between batches.
 */
import { packet } from "../core/packet";

@unmanaged
@final
export class Policy {
  /** 0 = nothing leaves. */
  active: u32;
  dualStack: u32;
  /** UDP port 53 goes to the host. */
  dns: u32;
  reserved: u32;
}
if (offsetof<Policy>() != 16) ERROR("Policy must be 16 bytes");

@unmanaged
@final
export class Prefix {
  lo: u64;
  hi: u64;
  maskLo: u64;
  maskHi: u64;
  /** Index of the policy (internal prefixes). */
  policy: u32;
  reserved0: u32;
  reserved1: u64;
}
if (offsetof<Prefix>() != 48) ERROR("Prefix must be 48 bytes");

@unmanaged
@final
export class Policies {
  internalCount: u32;
  natCount: u32;
  /** Source of the ICMP errors that we originate (the gateway's own inner address), as address.ts forms it. */
  self4Hi: u64;
  self6Lo: u64;
  self6Hi: u64;
  /** Source of ICMP errors from IPv6 routers, in the Pods' eyes (RFC 6791). */
  router4Hi: u64;
}
if (offsetof<Policies>() != 40) ERROR("Policies must be 40 bytes");

export const MAX_PREFIXES: u32 = 256;
const POLICIES = memory.data(16 * 16, 16);
const INTERNAL = memory.data(256 * 48, 16);
const NAT = memory.data(256 * 48, 16);
const RECORD = memory.data(40, 16);

export const policyTable: usize = POLICIES;
export const internalPrefixes: usize = INTERNAL;
export const natPrefixes: usize = NAT;
export const policies: Policies = changetype<Policies>(RECORD);

function match(table: usize, count: u32, lo: u64, hi: u64): Prefix | null {
  for (let i: u32 = 0; i < count; i++) {
    const prefix = changetype<Prefix>(table + <usize>i * offsetof<Prefix>());
    if ((lo & prefix.maskLo) == prefix.lo && (hi & prefix.maskHi) == prefix.hi) return prefix;
  }
  return null;
}

/** The policy for the packet's source, or null: the source is outside the internal networks. */
export function sourcePolicy(): Policy | null {
  return policyOf(packet.sourceLo, packet.sourceHi);
}

/** The policy for an address, or null when it is outside the internal networks. */
export function policyOf(lo: u64, hi: u64): Policy | null {
  const prefix = match(INTERNAL, policies.internalCount, lo, hi);
  return prefix == null ? null : changetype<Policy>(POLICIES + (<usize>prefix.policy << 4));
}

export function isInternal(lo: u64, hi: u64): bool {
  return match(INTERNAL, policies.internalCount, lo, hi) != null;
}

export function isInternalDestination(): bool {
  return isInternal(packet.destinationLo, packet.destinationHi);
}

/** The address belongs to a DNS46 pool. */
export function isNatAddress(lo: u64, hi: u64): bool {
  return match(NAT, policies.natCount, lo, hi) != null;
}
