/**
 * Seeded random and mutated packets, and a raw sender for them. As a program, inside a network namespace:
 *   node hostile-packets.js DEVICE DESTINATION_MAC SEED COUNT ADDRESSES_JSON
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ipv4ToNumber, ipv6ToBytes, isIpv4 } from "../../src/addresses.ts";
import { addressOf, bindSocket, checked, socket, write } from "../../src/dataplane/syscalls.ts";

export interface HostileAddresses {
  /** Sources to claim and destinations to aim at, both families mixed. */
  readonly sources: readonly string[];
  readonly destinations: readonly string[];
}

type Random = (below: number) => number;

/** Mulberry32: small, seeded, good enough to vary bytes. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** One packet without link header: half right, then bent. IPv4 header checksums are right, or the kernel would drop it. */
export function hostilePacket(random: Random, { sources, destinations }: HostileAddresses): Buffer {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const destination = pick(destinations);
  const four = isIpv4(destination);
  const source = pick(sources.filter((address) => isIpv4(address) === four));
  const protocol = pick([6, 6, 6, 17, 17, 17, four ? 1 : 58, four ? 1 : 58, 47, 132, random(256)]);
  const transport = transportBytes(random, protocol, four);
  const packet = four
    ? ipv4(random, source, destination, protocol, transport)
    : ipv6(random, source, destination, protocol, transport);
  for (let bent = random(4); bent > 0 && random(2) === 0; bent--) packet[random(packet.length)] = random(256);
  if (four) sealIpv4(packet);
  return packet;
}

function transportBytes(random: Random, protocol: number, four: boolean): Buffer {
  const length = [0, 4, 8, 12, 20, 24, 40, 200, 1440, four ? 1472 : 1452][random(10)]!;
  const bytes = Buffer.from(Array.from({ length }, () => random(256)));
  if (length < 8) return bytes;
  if (protocol === 6 || protocol === 17) {
    bytes.writeUInt16BE(random(12) === 0 ? 0 : 1024 + random(60000), 0);
    bytes.writeUInt16BE(random(12) === 0 ? 0 : [53, 80, 443, 1024 + random(60000)][random(4)]!, 2);
  }
  if (protocol === 17) {
    if (random(4) > 0) bytes.writeUInt16BE(length, 4);
    if (random(3) === 0) bytes.writeUInt16BE(0, 6);
  }
  if (protocol === 6 && length >= 20) {
    if (random(4) > 0) bytes[12] = 0x50;
    bytes[13] = [2, 2, 16, 4, 1, 0, 3, 6, random(256)][random(9)]!;
  }
  if (protocol === 1 && four) bytes[0] = [8, 0, 3, 11, random(256)][random(5)]!;
  if (protocol === 58) bytes[0] = [128, 129, 1, 2, random(256)][random(5)]!;
  if (protocol === 1 || protocol === 58) bytes[1] = random(4) === 0 ? random(256) : 0;
  return bytes;
}

function ipv4(
  random: Random,
  source: string,
  destination: string,
  protocol: number,
  payload: Buffer,
): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header[1] = random(256);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(random(65536), 4);
  header.writeUInt16BE([0, 0x4000, 0x4000, 0x2000, 0x0010][random(5)]!, 6);
  header[8] = [2, 64, 64, 255][random(4)]!;
  header[9] = protocol;
  header.writeUInt32BE(ipv4ToNumber(source), 12);
  header.writeUInt32BE(ipv4ToNumber(destination), 16);
  return Buffer.concat([header, payload]);
}

function sealIpv4(packet: Buffer): void {
  packet[0] = 0x45;
  packet.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += packet.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(sum ^ 0xffff, 10);
}

function ipv6(
  random: Random,
  source: string,
  destination: string,
  protocol: number,
  payload: Buffer,
): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header[7] = [2, 64, 64, 255][random(4)]!;
  header.set(ipv6ToBytes(source), 8);
  header.set(ipv6ToBytes(destination), 24);
  // Extension headers before the transport header: routing, fragment, destination options, some of them bent.
  const extension = random(6) === 0 ? [43, 44, 60][random(3)]! : undefined;
  const extra = Buffer.alloc(extension === undefined ? 0 : 8);
  if (extension !== undefined) {
    extra[0] = protocol;
    extra[1] = extension === 44 ? 0 : random(3) === 0 ? random(256) : 0;
    if (extension === 43) extra[3] = random(3);
    if (extension === 44) extra.writeUInt16BE(random(65536), 2);
  }
  header[6] = extension ?? protocol;
  header.writeUInt16BE(extra.length + payload.length, 4);
  return Buffer.concat([header, extra, payload]);
}

const AF_PACKET = 17;
const SOCK_RAW = 3;

/** Sends whole frames on a device; needs CAP_NET_RAW. */
export function rawSender(device: string, destinationMac: string): (packet: Buffer) => boolean {
  const index = Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
  const fd = checked("socket", socket(AF_PACKET, SOCK_RAW, 0));
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(index, 4);
  checked("bind", bindSocket(fd, address, address.length));
  const mac = Buffer.from(destinationMac.replaceAll(":", ""), "hex");
  const frame = Buffer.alloc(2048);
  mac.copy(frame, 0);
  frame.fill(2, 6, 12);
  const base = addressOf(frame);
  return (packet) => {
    frame.writeUInt16BE(packet[0]! >> 4 === 6 ? 0x86dd : 0x0800, 12);
    packet.copy(frame, 14);
    return write(fd, base, 14 + packet.length) > 0;
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , device = "", mac = "", seed, count, addresses = "{}"] = process.argv;
  const random = seededRandom(Number(seed));
  const send = rawSender(device, mac);
  const aims = JSON.parse(addresses) as HostileAddresses;
  let sent = 0;
  for (let i = 0; i < Number(count); i++) if (send(hostilePacket(random, aims))) sent++;
  console.log(sent);
}
