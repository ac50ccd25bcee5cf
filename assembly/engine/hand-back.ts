/**
 * Automap shares the address with the host. The host's firewall rule sent us everything for our port range by rewriting
 * the destination to an alias; what isn't ours gets its own destination back and goes to the host's sockets.
 */
import { adjust, fold, negate } from "../core/checksum";
import { limits } from "../core/limits";
import { isPartial, writeOffload } from "../core/offload";
import { packet } from "../core/packet";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../core/protocol";
import { setAddresses } from "../core/rewrite";
import { PoolAddress } from "../core/snat-pool";
import { Icmp } from "../core/wire/icmp";
import { Tcp } from "../core/wire/tcp";
import { Udp } from "../core/wire/udp";

/** → address of the IP header. */
export function handBack(address: PoolAddress): usize {
  const delta = address.sum + negate(address.inboundSum);
  if (packet.protocol == PROTOCOL_TCP) mend(offsetof<Tcp>("checksum"), delta);
  else if (packet.protocol == PROTOCOL_UDP) mend(offsetof<Udp>("checksum"), delta);
  else if (packet.family == 6) mend(offsetof<Icmp>("checksum"), delta);
  setAddresses(packet.sourceLo, packet.sourceHi, address.lo, address.hi);
  packet.destinationLo = address.lo;
  packet.destinationHi = address.hi;
  writeOffload(packet.ip, packet.family, limits.mtuOuter);
  return packet.ip;
}

function mend(field: usize, delta: u32): void {
  const p = packet.transport + field;
  const old: u32 = load<u16>(p);
  if (isPartial()) store<u16>(p, <u16>fold(<u64>old + delta));
  // A UDP checksum of zero means 'none' (IPv4 only).
  else if (old != 0 || packet.protocol != PROTOCOL_UDP) {
    const sum = adjust(old, delta);
    store<u16>(p, <u16>(sum == 0 && packet.protocol == PROTOCOL_UDP ? 0xffff : sum));
  }
}
