/**
 * Plain SNAT within one IP version: addresses and ports change, nothing else. The kernel forwards the packet before and
 * after and counts both as hops, so the TTL stays as it is.
 */
import { mappedBE } from "./address";
import { adjust, negate, sum32 } from "./checksum";
import { writeOffload } from "./offload";
import { FRAGMENT_NONE, packet } from "./packet";
import { target } from "./target";
import { rewriteTransport } from "./transport";
import { FRAGMENT_HEADER, Fragment } from "./wire/fragment";
import { Ipv4 } from "./wire/ipv4";
import { Ipv6 } from "./wire/ipv6";

/** By `target`; `mtu` is that of the side it goes to. → address of the IP header. */
export function rewrite(mtu: u32, maxSegment: u32): usize {
  if (packet.hasTransport) rewriteTransport(packet.family, maxSegment);
  setAddresses(target.sourceLo, target.sourceHi, target.destinationLo, target.destinationHi);
  if (packet.fragment != FRAGMENT_NONE) setIdentification();
  writeOffload(packet.ip, packet.family, mtu);
  return packet.ip;
}

/** A fragment's may have changed on the way out (fragments.ts). */
function setIdentification(): void {
  if (packet.family == 6) {
    Fragment.at(packet.transport - FRAGMENT_HEADER).identificationBE = bswap<u32>(packet.identification);
    return;
  }
  const header = Ipv4.at(packet.ip);
  const identificationBE = bswap<u16>(<u16>packet.identification);
  header.checksum = <u16>adjust(header.checksum, identificationBE + negate(header.identificationBE));
  header.identificationBE = identificationBE;
}

/** Writes both addresses of the packet in hand and, for IPv4, mends the header checksum. */
export function setAddresses(sourceLo: u64, sourceHi: u64, destinationLo: u64, destinationHi: u64): void {
  if (packet.family == 4) {
    const header = Ipv4.at(packet.ip);
    const sourceBE = mappedBE(sourceHi);
    const destinationBE = mappedBE(destinationHi);
    const delta =
      sum32(sourceBE) +
      negate(sum32(header.sourceBE)) +
      sum32(destinationBE) +
      negate(sum32(header.destinationBE));
    header.checksum = <u16>adjust(header.checksum, delta);
    header.sourceBE = sourceBE;
    header.destinationBE = destinationBE;
  } else {
    const header = Ipv6.at(packet.ip);
    header.sourceLo = sourceLo;
    header.sourceHi = sourceHi;
    header.destinationLo = destinationLo;
    header.destinationHi = destinationHi;
  }
}
