import { type Flows, headerWords } from "./flows.ts";

/** A whole number below the bound. */
export type Random = (below: number) => number;

/** mulberry32. */
export function generator(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % below;
  };
}

const vnetLength = 12;
/** SYN, FIN, RST, which the references refuse and the engine doesn't. */
const connectionFlags = 7;
const flagPsh = 8;
/** Above it, as IPv6, the engine cuts what has no DF; the references don't. */
const cutAbove = 1280;

/**
 * A packet of one of the flows that the references claim to translate as the engine does, or that all must refuse:
 * addresses, ports and connection flags are those of an established session; whatever else translation reads is random.
 * Not among them: other flows (the engine opens sessions), fragments, super-packets.
 */
export function randomPacket({ packets, count, protocol }: Flows, random: Random): Uint8Array {
  const tcp = protocol === "tcp";
  const from = random(count) * headerWords;
  const model = new Uint8Array(packets.slice(from, from + headerWords).buffer);
  const options = random(4) === 0 ? 4 * random(11) : 0;
  const ip = vnetLength;
  const transport = ip + 20 + options;
  const own = tcp ? 20 + (random(4) === 0 ? 4 * random(11) : 0) : 8;
  const payload = random(8) === 0 ? random(1500) : random(200);
  const padding = random(8) === 0 ? random(20) : 0;
  const bytes = new Uint8Array(transport + own + payload + padding);
  for (let i = ip + 20; i < bytes.length; i++) bytes[i] = random(256);
  bytes.set(model.subarray(0, ip + 20));
  bytes.set(model.subarray(ip + 20, ip + 20 + (tcp ? 20 : 8)), transport);
  const view = new DataView(bytes.buffer);
  const total = 20 + options + own + payload;
  const small = 40 + own + payload <= cutAbove;

  view.setUint8(ip, 0x40 | ((20 + options) / 4));
  view.setUint8(ip + 1, random(256));
  view.setUint16(ip + 2, total);
  view.setUint16(ip + 4, random(65536));
  view.setUint16(ip + 6, small && random(2) === 0 ? 0 : 0x4000);
  view.setUint8(ip + 8, random(4) === 0 ? random(4) : random(256));
  view.setUint16(ip + 10, random(65536));
  const sum = transport + (tcp ? 16 : 6);
  view.setUint16(sum, random(8) === 0 ? 0 : random(65536));
  if (tcp) {
    view.setUint32(transport + 4, random(0x1_0000_0000));
    view.setUint32(transport + 8, random(0x1_0000_0000));
    view.setUint8(transport + 12, ((own / 4) << 4) | random(16));
    view.setUint8(transport + 13, (random(256) & ~connectionFlags) | (random(2) === 0 ? 16 : flagPsh));
    view.setUint16(transport + 14, random(65536));
    view.setUint16(transport + 18, random(65536));
  } else view.setUint16(transport + 4, own + payload);

  // Without GSO nothing in the virtio-net header means anything but flags and, with flag 1, where the checksum lies.
  view.setUint8(0, random(3));
  for (let i = 2; i < vnetLength; i++) view.setUint8(i, random(256));
  view.setUint16(6, transport - ip, true);
  view.setUint16(8, sum - transport, true);
  if (random(10) === 0) return damaged(bytes, transport, tcp, random);
  return bytes;
}

/** Something is wrong that no translator may let pass; now and then it happens to be right. */
function damaged(bytes: Uint8Array, transport: number, tcp: boolean, random: Random): Uint8Array {
  const view = new DataView(bytes.buffer);
  const ip = vnetLength;
  switch (random(7)) {
    case 0:
      view.setUint8(ip, random(256) & 0xf4);
      break;
    case 1:
      view.setUint16(ip + 2, random(65536));
      break;
    case 2:
      // The low byte alone: a TCP segment may well be shorter.
      view.setUint8(ip + 3, random(256));
      break;
    case 3:
      if (tcp) view.setUint8(transport + 12, random(256));
      else view.setUint16(transport + 4, random(2000));
      break;
    case 4:
      if (tcp) view.setUint8(transport + 13, random(4) << 6);
      else view.setUint8(transport + 5, random(256));
      break;
    case 5:
      view.setUint8(0, 1);
      view.setUint16(random(2) === 0 ? 6 : 8, random(60), true);
      break;
    default:
      return bytes.slice(0, random(bytes.length));
  }
  return bytes;
}
