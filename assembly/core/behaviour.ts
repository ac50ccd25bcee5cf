/**
 * How ports are mapped and who gets in by them (RFC 4787 §4, §5; RFC 5382 §4, §5). The host sets it before the first
 * packet, and not again.
 */
import { PROTOCOL_ICMP4, PROTOCOL_UDP } from "./protocol";

@unmanaged
@final
export class Behaviour {
  /** Bit n: an inner endpoint of IP protocol n has one outer port for all its remote ends (endpoint-independent). */
  mapping: u32;
  /** Bit n: that port is open to any remote end while it is in use. Only with `mapping`. */
  filtering: u32;
}

const RECORD = memory.data(8, 8);
if (offsetof<Behaviour>() != 8) ERROR("Behaviour must be 8 bytes");

export const behaviour: Behaviour = changetype<Behaviour>(RECORD);

export function defaultBehaviour(): void {
  behaviour.mapping = (1 << PROTOCOL_UDP) | (1 << PROTOCOL_ICMP4);
  behaviour.filtering = 0;
}

// @ts-ignore: decorator
@inline
export function isMappedIndependently(protocol: u32): bool {
  return ((behaviour.mapping >> protocol) & 1) != 0;
}

// @ts-ignore: decorator
@inline
export function isOpenToAll(protocol: u32): bool {
  return ((behaviour.filtering >> protocol) & 1) != 0;
}
