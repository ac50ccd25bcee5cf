/**
 * DNS questions leave the engine as payload plus a context; the host gives the context back with the answer, and the
 * engine makes a packet of it. The context is opaque to the host.
 */
import { mappedBE } from "../core/address";
import { fold, sumAddress, sumBytes, sumPseudo } from "../core/checksum";
import { packet } from "../core/packet";
import { PROTOCOL_UDP } from "../core/protocol";
import { nextIdentification } from "../core/translate64";
import { IPV4_HEADER, Ipv4 } from "../core/wire/ipv4";
import { IPV6_HEADER, Ipv6 } from "../core/wire/ipv6";
import { UDP_HEADER, Udp } from "../core/wire/udp";
import { HEADROOM, sendFresh, slotAddress, takeSlot } from "./slots";

@unmanaged
@final
export class UdpContext {
  /** Whom the answer goes to, and whom the question was for. */
  clientLo: u64;
  clientHi: u64;
  serverLo: u64;
  serverHi: u64;
  clientPortBE: u16;
  serverPortBE: u16;
  family: u32;
}
if (offsetof<UdpContext>() != 40) ERROR("UdpContext must be 40 bytes");

const UDP_CONTEXT_BYTES: u32 = 40;
/** The longest UDP payload over IPv4. */
const UDP_REPLY_MAX: u32 = 65_507;
/** Where the host puts the context and the answer: context first, payload (any DNS message) behind it. */
const REPLY = memory.data(65_576, 16);
export const replyBuffer: usize = REPLY;

/** The context of the packet in hand, in the headroom before it. */
export function writeContext(): usize {
  const context = changetype<UdpContext>(((packet.ip - 128) & ~7) as usize);
  context.clientLo = packet.sourceLo;
  context.clientHi = packet.sourceHi;
  context.serverLo = packet.destinationLo;
  context.serverHi = packet.destinationHi;
  context.clientPortBE = <u16>packet.sourcePortBE;
  context.serverPortBE = <u16>packet.destinationPortBE;
  context.family = packet.family;
  return changetype<usize>(context);
}

/** Makes a packet of the reply buffer (`length` bytes of payload) in the transmit ring; false when it is full or the payload too long. */
export function sendReply(length: u32): bool {
  if (length > UDP_REPLY_MAX) return false;
  const context = changetype<UdpContext>(REPLY);
  const slot = takeSlot();
  if (slot < 0) return false;
  const ip = slotAddress(slot) + HEADROOM;
  const udpLength = UDP_HEADER + length;
  const six = context.family == 6;
  const udp = ip + (six ? IPV6_HEADER : IPV4_HEADER);
  memory.copy(udp + UDP_HEADER, REPLY + UDP_CONTEXT_BYTES, length);
  const header = Udp.at(udp);
  header.sourceBE = context.serverPortBE;
  header.destinationBE = context.clientPortBE;
  header.lengthBE = bswap<u16>(<u16>udpLength);
  header.checksum = 0;
  let sum: u64 = sumBytes(udp, udpLength) + sumPseudo(udpLength, PROTOCOL_UDP);
  if (six) {
    const outer = Ipv6.at(ip);
    outer.versionClassFlowBE = 0x60;
    outer.payloadLengthBE = bswap<u16>(<u16>udpLength);
    outer.nextHeader = <u8>PROTOCOL_UDP;
    outer.hopLimit = 64;
    outer.sourceLo = context.serverLo;
    outer.sourceHi = context.serverHi;
    outer.destinationLo = context.clientLo;
    outer.destinationHi = context.clientHi;
    sum += sumAddress(context.serverLo, context.serverHi);
    sum += sumAddress(context.clientLo, context.clientHi);
  } else {
    const outer = Ipv4.at(ip);
    outer.versionIhl = 0x45;
    outer.tos = 0;
    outer.totalLengthBE = bswap<u16>(<u16>(IPV4_HEADER + udpLength));
    outer.identificationBE = nextIdentification();
    outer.flagsOffsetBE = 0;
    outer.ttl = 64;
    outer.protocol = <u8>PROTOCOL_UDP;
    outer.checksum = 0;
    outer.sourceBE = mappedBE(context.serverHi);
    outer.destinationBE = mappedBE(context.clientHi);
    outer.checksum = <u16>(fold(sumBytes(ip, IPV4_HEADER)) ^ 0xffff);
    sum += outer.sourceBE;
    sum += outer.destinationBE;
  }
  const checksum = fold(sum) ^ 0xffff;
  header.checksum = <u16>(checksum == 0 ? 0xffff : checksum);
  return sendFresh(ip, <u32>(udp - ip) + udpLength, slot);
}
