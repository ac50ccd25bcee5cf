/** Packets of every kind for a translator without state, well-formed and not, out of a seed. */
import { embed, parsePool6 } from "../../src/translate/pool6.ts";
import { addressBytes, be16, be32, concat, onesSum, protocolNumber, pseudoHeader, put16 } from "./packets.ts";

export interface World {
  readonly pool6: string;
  readonly eams: readonly { readonly v4: string; readonly v6: string }[];
  /** No damaged packets: lengths and checksums are right, headers whole, no IP in IP (payloads are random). */
  readonly wellFormed?: boolean;
}

/** mulberry32. */
export function random(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    below,
    chance: (probability: number) => next() < probability,
    pick: <T>(items: readonly T[]): T => items[below(items.length)]!,
    bytes: (length: number) => Uint8Array.from({ length }, () => below(256)),
  };
}
export type Random = ReturnType<typeof random>;

const special4 = ["127.0.0.1", "224.0.0.5", "255.255.255.255", "169.254.1.1", "0.0.0.0", "240.0.0.1"];
const special6 = ["::1", "::", "ff02::1", "ff0e::5", "fe80::1", "::ffff:10.0.0.1", "2001:db8:dead::1"];

/** Lengths of the transport part: short, or near a border. */
const borders = [
  1212, 1220, 1232, 1233, 1240, 1241, 1252, 1260, 1261, 1280, 1432, 1440, 1452, 1460, 1461, 1480, 1481, 1500,
];

export function generate(world: World, seed: number, count: number): Uint8Array[] {
  const r = random(seed);
  /** A fault, unless none are wanted. */
  const fault = (probability: number) => world.wellFormed !== true && r.chance(probability);
  const pool6 = parsePool6(world.pool6);
  const hosts4 = [...world.eams.map(({ v4 }) => v4), "192.0.2.33", "198.51.100.7", "8.8.8.8", "100.64.3.4"];
  const mapped = new Map(world.eams.map(({ v4, v6 }) => [v4, v6]));
  const to6 = (v4: string) => mapped.get(v4) ?? embed(pool6, v4);
  const ends = (family: 4 | 6): [string, string] => {
    const pair = [r.pick(hosts4), r.pick(hosts4)] as [string, string];
    const chosen = family === 4 ? pair : (pair.map(to6) as [string, string]);
    if (r.chance(0.03)) chosen[r.below(2)] = r.pick(family === 4 ? special4 : special6);
    return chosen;
  };

  const length = () =>
    r.chance(0.12) ? r.pick(borders) + r.below(3) - 1 : r.chance(0.05) ? r.below(4000) : r.below(80);
  const options4 = () => {
    if (!r.chance(0.12)) return new Uint8Array(0);
    const route = Uint8Array.of(r.pick([131, 137]), 7, r.pick([4, 4, 8]), 10, 0, 0, 9, 0);
    const choice = r.pick([
      route,
      Uint8Array.of(1, 1, 1, 0),
      Uint8Array.of(148, 4, 0, 0),
      new Uint8Array(40).fill(1),
    ]);
    return choice;
  };

  function transport(family: 4 | 6, [source, destination]: [string, string], size: number) {
    const kind = r.pick(["udp", "udp", "tcp", "tcp", "icmp", "icmp", "other"] as const);
    const payload = r.bytes(size);
    if (kind === "other") {
      const strange = family === 4 ? [0, 4, 41, 43, 44, 58, 60] : [1, 4, 41];
      const known = [2, 47, 50, 51, 59, 89, 103, 132, 136, 253];
      const protocol = r.pick(fault(0.4) ? strange : known);
      return { protocol, bytes: payload };
    }
    const protocol =
      kind === "icmp" ? (family === 4 ? 1 : 58) : kind === "tcp" ? protocolNumber.tcp : protocolNumber.udp;
    const ports = concat(be16(r.below(65536)), be16(r.chance(0.02) ? 0 : r.below(65536)));
    let bytes: Uint8Array;
    if (kind === "udp")
      bytes = concat(ports, be16(8 + size + (fault(0.02) ? r.below(9) - 4 : 0)), be16(0), payload);
    else if (kind === "tcp") {
      const options = r.chance(0.3)
        ? Uint8Array.of(2, 4, ...be16(r.pick([536, 1220, 1460, 8960])), 1, 1, 1, 0)
        : new Uint8Array(0);
      const offset = fault(0.02) ? r.below(16) : 5 + options.length / 4;
      const flags = r.pick([2, 18, 16, 24, 17, 4, 20, 0, 3, 6, 0x52, 0xff]);
      bytes = concat(
        ports,
        r.bytes(8),
        Uint8Array.of(offset << 4, flags),
        be16(r.below(65536)),
        be32(0),
        options,
        payload,
      );
    } else {
      const types =
        family === 4
          ? [8, 8, 0, 0, 5, 9, 10, 13, 15, 17, r.below(256)]
          : [128, 128, 129, 129, 130, 133, 134, 135, 136, 143, r.below(256)];
      bytes = concat(
        Uint8Array.of(r.pick(types), r.chance(0.05) ? r.below(4) : 0),
        be16(0),
        r.bytes(4),
        payload,
      );
    }
    const field = kind === "udp" ? 6 : kind === "tcp" ? 16 : 2;
    const pseudo = pseudoHeader(source, destination, bytes.length, protocol);
    const sum = onesSum(pseudo, bytes) ^ 0xffff;
    put16(bytes, field, sum === 0 && kind === "udp" ? 0xffff : sum);
    if (kind === "udp" && r.chance(0.08)) put16(bytes, field, 0);
    if (fault(0.02)) put16(bytes, field, r.below(65536));
    return { protocol, bytes };
  }

  function ipv4(
    pair: [string, string],
    protocol: number,
    payload: Uint8Array,
    fragmentable = true,
  ): Uint8Array {
    const options = options4();
    const padded = concat(options, new Uint8Array(-options.length & 3));
    const fragment = fragmentable && r.chance(0.1);
    const offset = fragment ? r.pick([0, 0, 1, 185, r.below(2000)]) : 0;
    const more = fragment && (offset === 0 || r.chance(0.5));
    const flags = (r.chance(0.5) ? 0x4000 : 0) | (more ? 0x2000 : 0) | offset;
    const body = more ? payload.subarray(0, payload.length & ~7) : payload;
    const header = concat(
      ...[Uint8Array.of(0x45 + padded.length / 4, r.below(256)), be16(20 + padded.length + body.length)],
      ...[be16(r.below(65536)), be16(flags), Uint8Array.of(hops(), protocol), be16(0)],
      ...[addressBytes(pair[0]), addressBytes(pair[1]), padded],
    );
    put16(header, 10, onesSum(header) ^ 0xffff);
    return concat(header, body);
  }

  const hops = () => (r.chance(0.06) ? r.below(3) : 3 + r.below(253));

  function ipv6(
    pair: [string, string],
    protocol: number,
    payload: Uint8Array,
    fragmentable = true,
  ): Uint8Array {
    const headers: { kind: number; bytes: Uint8Array }[] = [];
    if (r.chance(0.06)) headers.push({ kind: 0, bytes: extension(0) });
    if (r.chance(0.06)) headers.push({ kind: 60, bytes: extension(0) });
    if (r.chance(0.06)) headers.push({ kind: 43, bytes: extension(r.chance(0.5) ? 1 + r.below(3) : 0) });
    let body = payload;
    if (fragmentable && r.chance(0.12)) {
      const offset = r.pick([0, 0, 8, 1448, r.below(8000) * 8]);
      const more = r.chance(0.5);
      if (more) body = payload.subarray(0, payload.length & ~7);
      headers.push({ kind: 44, bytes: concat(Uint8Array.of(0, 0), be16(offset | Number(more)), r.bytes(4)) });
    }
    headers.forEach(({ bytes }, index) => {
      bytes[0] = headers[index + 1]?.kind ?? protocol;
    });
    const rest = concat(...headers.map(({ bytes }) => bytes), body);
    return concat(
      ...[be32((0x60000000 | (r.below(256) << 20) | r.below(1 << 20)) >>> 0), be16(rest.length)],
      ...[
        Uint8Array.of(headers[0]?.kind ?? protocol, hops()),
        addressBytes(pair[0]),
        addressBytes(pair[1]),
        rest,
      ],
    );
  }

  /** Options are padding; a routing header of type 0 or 4. */
  function extension(segmentsLeft: number): Uint8Array {
    const bytes = new Uint8Array(8 * (1 + r.below(2)));
    bytes.set([0, bytes.length / 8 - 1, segmentsLeft === 0 ? 1 : r.pick([0, 4]), segmentsLeft]);
    if (segmentsLeft === 0) bytes[3] = 0;
    return bytes;
  }

  function error(family: 4 | 6): Uint8Array {
    const pair = ends(family);
    const inner: [string, string] = r.chance(0.95) ? [pair[1], r.pick(hosts4)] : ends(family);
    if (family === 6 && !inner[1].includes(":")) inner[1] = to6(inner[1]);
    const { protocol, bytes } = transport(family, inner, length());
    let quote = family === 4 ? ipv4(inner, protocol, bytes) : ipv6(inner, protocol, bytes);
    const most = family === 4 ? 548 : 1232;
    if (fault(0.4))
      quote = quote.subarray(0, Math.min(quote.length, (family === 4 ? 28 : 48) + r.below(100)));
    if (fault(0.02)) quote = quote.subarray(0, r.below(quote.length));
    quote = quote.subarray(0, r.chance(0.9) ? most : 1400);
    const type = family === 4 ? r.pick([3, 3, 3, 11, 12, 4]) : r.pick([1, 1, 2, 3, 4]);
    const code = r.chance(0.9) ? r.below(type === 3 && family === 4 ? 16 : 5) : r.below(256);
    let word: Uint8Array = new Uint8Array(4);
    if (family === 4 && type === 3 && code === 4)
      word = concat(be16(0), be16(r.pick([0, 68, 576, 1260, 1280, 1400, 1500, 9000, r.below(65536)])));
    else if (family === 6 && type === 2)
      word = be32(r.pick([0, 1280, 1300, 1400, 1500, 9000, r.below(2 ** 32)]));
    else if (type === 12) word[0] = r.below(24);
    else if (type === 4 && family === 6) word = be32(r.below(48));
    let body = quote;
    if (r.chance(0.08) && (family === 4 || type === 1 || type === 3)) {
      const unit = family === 4 ? 4 : 8;
      body = concat(quote, new Uint8Array(Math.max(128 - quote.length, -quote.length & (unit - 1))));
      word[family === 4 ? 1 : 0] = body.length / unit;
      const objects = Uint8Array.of(0, 8, 1, 1, 0, 1, 0x23, 0x41);
      const structure = concat(Uint8Array.of(0x20, 0), be16(0), objects);
      put16(structure, 2, onesSum(structure) ^ 0xffff);
      body = concat(body, structure);
    }
    const message = concat(Uint8Array.of(type, code), be16(0), word, body);
    const number = family === 4 ? 1 : 58;
    put16(message, 2, onesSum(pseudoHeader(pair[0], pair[1], message.length, number), message) ^ 0xffff);
    if (fault(0.03)) put16(message, 2, r.below(65536));
    return family === 4
      ? ipv4(pair, number, message, r.chance(0.05))
      : ipv6(pair, number, message, r.chance(0.05));
  }

  function malformed(packet: Uint8Array): Uint8Array {
    const copy = packet.slice();
    switch (r.below(6)) {
      case 0:
        return copy.subarray(0, Math.max(1, r.below(copy.length)));
      case 1:
        return concat(copy, r.bytes(1 + r.below(20)));
      case 2:
        copy[0] = r.below(256);
        return copy;
      case 3:
        put16(copy, copy[0]! >> 4 === 4 ? 2 : 4, r.below(200));
        return copy;
      case 4:
        copy[r.below(Math.min(copy.length, 60))]! ^= 1 << r.below(8);
        return copy;
      default:
        copy[r.below(copy.length)] = r.below(256);
        return copy;
    }
  }

  return Array.from({ length: count }, () => {
    const family = r.pick([4, 6] as const);
    let packet: Uint8Array;
    if (r.chance(0.25)) packet = error(family);
    else {
      const pair = ends(family);
      const { protocol, bytes } = transport(family, pair, length());
      packet = family === 4 ? ipv4(pair, protocol, bytes) : ipv6(pair, protocol, bytes);
    }
    return fault(0.06) ? malformed(packet) : packet;
  });
}
