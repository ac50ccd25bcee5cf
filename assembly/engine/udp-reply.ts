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
  /** For the cache (dns-query.ts); 0 = the answer is not to be kept. */
  cacheKey: u32;
  reserved: u32;
}
if (offsetof<UdpContext>() != 48) ERROR("UdpContext must be 48 bytes");

const UDP_CONTEXT_BYTES: u32 = 48;
/** The longest UDP payload over IPv4. */
const UDP_REPLY_MAX: u32 = 65_507;
/** Where the host puts the context and the answer: context first, payload (any DNS message) behind it. */
const REPLY = memory.data(65_592, 16);
export const replyBuffer: usize = REPLY;
export const replyContext: UdpContext = changetype<UdpContext>(REPLY);
export const replyPayload: usize = REPLY + UDP_CONTEXT_BYTES;

/** The context of the packet in hand, in the headroom before it. */
export function writeContext(): UdpContext {
  const context = changetype<UdpContext>(((packet.ip - 128) & ~7) as usize);
  context.clientLo = packet.sourceLo;
  context.clientHi = packet.sourceHi;
  context.serverLo = packet.destinationLo;
  context.serverHi = packet.destinationHi;
  context.clientPortBE = <u16>packet.sourcePortBE;
  context.serverPortBE = <u16>packet.destinationPortBE;
  context.family = packet.family;
  context.cacheKey = 0;
  return context;
}

/** Makes a packet of the reply buffer (`length` bytes of payload) in the transmit ring; false when it is full or the payload too long. */
export function sendReply(length: u32): bool {
  if (length > UDP_REPLY_MAX) return false;
  const slot = takeSlot();
  if (slot < 0) return false;
  const payload = slotAddress(slot) + HEADROOM + IPV6_HEADER + UDP_HEADER;
  memory.copy(payload, replyPayload, length);
  const ip = wrap(replyContext, payload, length);
  return sendFresh(ip, <u32>(payload - ip) + length, slot);
}

/** Puts UDP and IP headers before a payload, whose room there is, back to who asked. → address of the IP header. */
export function wrap(context: UdpContext, payload: usize, length: u32): usize {
  const udpLength = UDP_HEADER + length;
  const six = context.family == 6;
  const udp = payload - UDP_HEADER;
  const ip = udp - (six ? IPV6_HEADER : IPV4_HEADER);
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
  return ip;
}
