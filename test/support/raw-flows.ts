/**
 * First packets of many flows to one destination, made by hand: more than one address has ports. As a program, inside a
 * network namespace, as root:
 *   node raw-flows.js PROTOCOL ADDRESS PORT COUNT SOURCE…   → seconds that sending took
 * TCP: SYNs. Flow i has source address i / 35,000 and a port of its own there.
 */
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { addressOf, type bindSocket, checked, socket, write } from "../../src/dataplane/syscalls.ts";
import { addressBytes, buildPacket, checksumField, get16, type Protocol, put16, SYN } from "./packets.ts";
import type { Netns } from "./topology.ts";
import { VNET_BYTES } from "./vnet.ts";

const program = fileURLToPath(import.meta.url);
const flowsOfSource = 35_000;
const firstPort = 1024;
const perSecond = 50_000;
const AF_INET = 2;
const SOCK_RAW = 3;
/** The IP header comes with the packet (raw(7)). */
const IPPROTO_RAW = 255;

/** Sends one packet of each of `count` flows → seconds that it took. */
export async function openFlows(
  netns: Netns,
  protocol: "tcp" | "udp",
  destination: { readonly address: string; readonly port: number },
  count: number,
  sources: readonly string[],
): Promise<number> {
  const { address, port } = destination;
  const argv = [process.execPath, program, protocol, address, String(port), String(count), ...sources];
  return Number(await netns.run(argv));
}

function send(protocol: Protocol, address: string, port: number, count: number, sources: readonly string[]) {
  const connect = koffi
    .load(null)
    .func("connect", "int", ["int", "void *", "uint"]) as unknown as typeof bindSocket;
  const fd = checked("socket", socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
  const name = new Uint8Array(16);
  name.set([AF_INET]);
  name.set(addressBytes(address), 4);
  checked("connect", connect(fd, name, name.length));
  const templates = sources.map((source) =>
    buildPacket({
      source,
      destination: address,
      protocol,
      sourcePort: 0,
      destinationPort: port,
      tcpFlags: SYN,
      payload: new Uint8Array(protocol === "tcp" ? 0 : 8),
    }).slice(VNET_BYTES),
  );
  const portAt = 20;
  const sumAt = portAt + checksumField[protocol];
  const started = performance.now();
  for (let flow = 0; flow < count; flow++) {
    const packet = templates[Math.floor(flow / flowsOfSource)]!.slice();
    const sourcePort = firstPort + (flow % flowsOfSource);
    put16(packet, portAt, sourcePort);
    const sum = (get16(packet, sumAt) ^ 0xffff) + sourcePort;
    const checksum = ((sum & 0xffff) + (sum >> 16)) ^ 0xffff;
    put16(packet, sumAt, checksum === 0 ? 0xffff : checksum);
    checked("write", write(fd, addressOf(packet), packet.length));
    while (flow % 100 === 0 && performance.now() < started + (flow / perSecond) * 1000);
  }
  return (performance.now() - started) / 1000;
}

if (process.argv[1] === program) {
  const [, , protocol, address = "", port, count, ...sources] = process.argv;
  console.log(send(protocol as Protocol, address, Number(port), Number(count), sources));
}
