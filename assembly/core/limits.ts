/**
 * What the host sets in the engine's memory before and between batches. Times in milliseconds, MTUs in bytes.
 */
@unmanaged
@final
export class Limits {
  /** Session lifetimes: RFC 4787 REQ-5 (UDP), RFC 5382 REQ-5 and RFC 7857 §2.1 (TCP), RFC 5508 REQ-2 (ICMP). */
  udpMs: u32;
  tcpEstablishedMs: u32;
  tcpTransitoryMs: u32;
  tcpSynMs: u32;
  icmpMs: u32;
  /** MTU towards the Pods, and of the external link. */
  mtuInner: u32;
  mtuOuter: u32;
  /** How long a packet waits for the mapping store, and how long 'there is no such mapping' is believed. */
  mappingWaitMs: u32;
  mappingUnknownMs: u32;
  /** IPv6 packets that must be fragmented are cut to fit this (RFC 7915 §4.1: 1280 unless the path is known). */
  lowestMtu6: u32;
  /** How long a port rests before another binding gets it (RFC 6888 REQ-8). */
  holdDownMs: u32;
  /** Merge UDP datagrams on their way to the device, which must know UDP segmentation; 0 = don't. */
  coalesceUdp: u32;
  /** Sessions that a Pod may have (RFC 6888 REQ-4); 0 = any number. */
  podSessions: u32;
  /** DNS questions a second (this worker's share of dnsRateLimit); 0 = any number. */
  dnsRate: u32;
}

const RECORD = memory.data(56, 8);
if (offsetof<Limits>() != 56) ERROR("Limits must be 56 bytes");

export const limits: Limits = changetype<Limits>(RECORD);

export function defaultLimits(): void {
  limits.udpMs = 300_000;
  limits.tcpEstablishedMs = 7_440_000;
  limits.tcpTransitoryMs = 240_000;
  limits.tcpSynMs = 6_000;
  limits.icmpMs = 60_000;
  limits.mtuInner = 1500;
  limits.mtuOuter = 1500;
  limits.mappingWaitMs = 2_000;
  limits.mappingUnknownMs = 300;
  limits.lowestMtu6 = 1280;
  limits.holdDownMs = 120_000;
}
