/** One connection: from the addresses that Envoy tells to what becomes of it. */
import { isForwardable4, isForwardable6, isMapped, mappedBE } from "../core/address";
import { VirtualServer } from "../core/counters";
import { lookupMapping } from "../core/mapping";
import { DropReason } from "../core/verdict";
import { endpointHi, endpointLo, endpointPort, parseEndpoint } from "./endpoint";
import { setFilterState } from "./filter-state";
import { OK, getProperty } from "./hostcalls";
import { resultAt, resultPointer, resultSize, resultSizePointer, takeBack } from "./lent";
import { active, dualStack, isInternal, isNatAddress, pairedAddress, settingsKnown, snatAddress } from "./settings";
import { whole } from "./table";
import { ascii, beginText, put, putAddress, putEndpoint } from "./text";

export enum Outcome {
  /** The filter state is set: it goes on. */
  ALLOWED,
  /** `refusal` tells why. */
  REFUSED,
  /** Only the gateway knows the mapping of `wantedBE`. */
  ASK,
  /** Nothing is known yet. */
  WAIT,
}

export let refusal: DropReason = DropReason.NONE;
export let server: VirtualServer = VirtualServer.EGRESS_IPV4;
/** NAT address in wire order. */
export let wantedBE: u32 = 0;

export let podLo: u64 = 0;
export let podHi: u64 = 0;
export let podPort: u32 = 0;
export let targetLo: u64 = 0;
export let targetHi: u64 = 0;
export let targetPort: u32 = 0;

/** What the gateway has just said of one address; it holds for this decision only. */
let toldBE: u32 = 0;
let toldLo: u64 = 0;
let toldHi: u64 = 0;

export function tell(nat4BE: u32, lo: u64, hi: u64): void {
  toldBE = nat4BE;
  toldLo = lo;
  toldHi = hi;
}

const SOURCE = memory.data(16, 8);
const DESTINATION = memory.data(32, 8);
const sourceSize = ascii("source\0address", SOURCE);
const destinationSize = ascii("destination\0address", DESTINATION);

function read(path: usize, size: u32): bool {
  if (getProperty(path, size, resultPointer, resultSizePointer) != OK || resultAt() == 0) return false;
  return parseEndpoint(resultAt(), resultSize());
}

/** Whose connection it is and what it dialled. False: Envoy can't tell. Takes back what was lent. */
export function readEnds(): bool {
  takeBack();
  podPort = targetPort = 0;
  podLo = podHi = targetLo = targetHi = 0;
  if (!read(SOURCE, sourceSize)) return false;
  podLo = endpointLo;
  podHi = endpointHi;
  podPort = endpointPort;
  if (!read(DESTINATION, destinationSize)) return false;
  targetLo = endpointLo;
  targetHi = endpointHi;
  targetPort = endpointPort;
  return true;
}

/** Of the effective context. Takes back what was lent. */
export function decide(): Outcome {
  if (!readEnds()) return refuse(DropReason.IP_VERSION_UNKNOWN);
  if (!settingsKnown || !whole) return Outcome.WAIT;
  if (!active) return refuse(DropReason.EGRESS_NOT_CONFIGURED);
  if (!isInternal(podLo, podHi)) return refuse(DropReason.SOURCE_NOT_INTERNAL);
  return isMapped(targetLo, targetHi) ? decide4() : decide6();
}

function decide4(): Outcome {
  const address = mappedBE(targetHi);
  const mapping = lookupMapping(address);
  if (mapping != null) return translate(mapping.hostLo, mapping.hostHi);
  if (isNatAddress(targetLo, targetHi)) {
    if (toldBE == address && address != 0) return translate(toldLo, toldHi);
    wantedBE = address;
    return Outcome.ASK;
  }
  if (isInternal(targetLo, targetHi)) return refuse(DropReason.DESTINATION_INTERNAL);
  if (!isForwardable4(bswap<u32>(address))) return refuse(DropReason.DESTINATION_NOT_FORWARDABLE);
  return leave(VirtualServer.EGRESS_IPV4, true);
}

function decide6(): Outcome {
  if (!dualStack) return refuse(DropReason.DUAL_STACK_DISABLED);
  if (isInternal(targetLo, targetHi)) return refuse(DropReason.DESTINATION_INTERNAL);
  if (!isForwardable6(targetLo)) return refuse(DropReason.DESTINATION_NOT_FORWARDABLE);
  return leave(VirtualServer.EGRESS_IPV6, false);
}

function translate(hostLo: u64, hostHi: u64): Outcome {
  if (!isForwardable6(hostLo)) return refuse(DropReason.DESTINATION_NOT_FORWARDABLE);
  if (pairedAddress(false, podLo, podHi) < 0) return refuse(DropReason.SNAT_ADDRESS_MISSING);
  beginText();
  putEndpoint(hostLo, hostHi, targetPort);
  setFilterState("envoy.network.transport_socket.original_dst_address");
  return leave(VirtualServer.EGRESS_IPV4_NAT46, false);
}

/** The cluster of a SNAT address is named after it (src/envoy/clusters.ts). */
function leave(by: VirtualServer, four: bool): Outcome {
  const index = pairedAddress(four, podLo, podHi);
  if (index < 0) return refuse(DropReason.SNAT_ADDRESS_MISSING);
  const address = snatAddress(index);
  beginText();
  put("snat_");
  putAddress(address.lo, address.hi);
  setFilterState("envoy.tcp_proxy.cluster");
  server = by;
  return Outcome.ALLOWED;
}

function refuse(reason: DropReason): Outcome {
  refusal = reason;
  return Outcome.REFUSED;
}
