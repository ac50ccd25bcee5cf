/**
 * Runs in a network namespace of its own: starts tayga there, writes the packets of FOLDER/in to its TUN device through
 * a packet socket (the kernel's IP layer has no part in it), and writes to FOLDER/out what tayga made of each. A marker
 * packet follows each packet: what comes before the marker's translation belongs to that packet.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  addressOf,
  bindSocket,
  checked,
  errno,
  POLLIN,
  poll,
  read,
  setsockopt,
  socket,
  write,
} from "../../src/dataplane/syscalls.ts";
import { ipPacket } from "./captures.ts";
import { be32, concat } from "./packets.ts";
import { joinPackets, splitPackets } from "./tayga.ts";

const device = "nat64";
const folder = process.argv[2]!;
const config = `${folder}/tayga.conf`;
const magic = Buffer.from("egress46");
/** Packets on their way at once; the device's queue has 500 places. */
const window = 100;

const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8" });
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 3;

function packetSocket(etherType: number, index: number): number {
  const fd = checked("socket", socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(etherType, 2);
  address.writeInt32LE(index, 4);
  checked("bind", bindSocket(fd, address, 20));
  return fd;
}

function option(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  checked("setsockopt", setsockopt(fd, level, name, bytes, 4));
}

function marker(index: number): Uint8Array {
  return ipPacket({
    source: "198.18.0.1",
    destination: "198.18.0.2",
    protocol: "udp",
    sourcePort: 9,
    destinationPort: 9,
    payload: concat(magic, be32(index)),
  });
}

/** Index of the marker, or -1. */
function markerOf(packet: Uint8Array): number {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  return bytes.length === 60 && bytes.compare(magic, 0, 8, 48, 56) === 0 ? bytes.readUInt32BE(56) : -1;
}

async function main(): Promise<void> {
  ip("link", "set", "lo", "up");
  execFileSync("tayga", ["--mktun", "-c", config], { stdio: "ignore" });
  execFileSync("sh", ["-c", `echo 1 > /proc/sys/net/ipv6/conf/${device}/disable_ipv6`]);
  ip("link", "set", device, "up", "mtu", readFileSync(`${folder}/mtu`, "utf8"));
  const tayga = spawn("tayga", ["--nodetach", "-c", config], { stdio: "ignore" });
  try {
    await feed(tayga);
  } finally {
    tayga.kill();
  }
}

async function feed(tayga: ChildProcess): Promise<void> {
  const index = (JSON.parse(ip("-j", "link", "show", device)) as { ifindex: number }[])[0]!.ifindex;
  const receiver = packetSocket(ETH_P_ALL, index);
  option(receiver, SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20);
  option(receiver, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  const senders = [0x0800, 0x86dd].map((etherType) => packetSocket(etherType, index));
  for (const sender of senders) option(sender, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
  const buffer = Buffer.alloc(1 << 17);
  const polled = Buffer.alloc(8);
  polled.writeInt32LE(receiver, 0);
  polled.writeInt16LE(POLLIN, 4);

  function send(packet: Uint8Array): void {
    buffer.set(packet);
    const fd = senders[packet[0]! >> 4 === 6 ? 1 : 0]!;
    if (write(fd, addressOf(buffer), packet.length) !== packet.length)
      throw new Error(`a packet of ${packet.length} bytes was not sent: errno ${errno()}`);
  }
  function receive(timeoutMs: number): Uint8Array | undefined {
    for (let again = false; ; again = true) {
      const length = read(receiver, addressOf(buffer), buffer.length);
      if (length > 0) return Uint8Array.prototype.slice.call(buffer, 0, length);
      if (again || poll(addressOf(polled), 1, timeoutMs) <= 0) return undefined;
    }
  }

  // Ready when a marker comes through.
  const deadline = Date.now() + 10_000;
  for (;;) {
    if (tayga.exitCode !== null) throw new Error(`tayga ended with exit status ${tayga.exitCode}`);
    send(marker(0xffffffff));
    const got = receive(50);
    if (got !== undefined && markerOf(got) === 0xffffffff) break;
    if (Date.now() > deadline) throw new Error("tayga does not translate");
    await sleep(20);
  }
  while (receive(100) !== undefined);
  // tayga has read the MTU; larger packets than that must reach it too.
  ip("link", "set", device, "mtu", "65521");

  const packets = splitPackets(readFileSync(`${folder}/in`));
  const results: Uint8Array[][] = [[]];
  for (let sent = 0, done = 0; done < packets.length; ) {
    for (; sent < packets.length && sent - done < window; sent++) {
      send(packets[sent]!);
      send(marker(sent));
    }
    const got = receive(5000);
    if (got === undefined) throw new Error(`tayga did not answer the marker after packet ${done}`);
    const marked = markerOf(got);
    if (marked < 0) results[done]!.push(got);
    else if (marked === done) results[++done] = [];
    else throw new Error(`marker ${marked} where ${done} was expected`);
  }
  const counted = results.slice(0, packets.length);
  writeFileSync(
    `${folder}/out`,
    joinPackets(counted.flatMap((outputs) => [be32(outputs.length), ...outputs])),
  );
}

if (process.argv[1]?.endsWith("tayga-feed.js")) await main();
