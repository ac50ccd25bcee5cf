/** translate.c in plain JavaScript: typed arrays over the engine's memory, 32-bit arithmetic, no allocation a packet. */

import { mappedBytes } from "../../src/engine/address-form.ts";
import { descriptorOffsets } from "../../src/engine/layout.gen.ts";
import { type Flows, mtu, pool } from "./flows.ts";
import { runner } from "./runner.ts";
import type { Translator } from "./translator.ts";

const SIZE = descriptorOffsets.sizeof >> 2;
const ADDRESS = descriptorOffsets.address >> 2;
const LENGTH = descriptorOffsets.length >> 2;
const SLOT = descriptorOffsets.slot >> 2;
const key = 0x46e61234 | 0;

/** The finalizer of MurmurHash3. */
function mix(word: number): number {
  let x = word ^ key;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
const hash = (inner: number, seen: number, ports: number, protocol: number) =>
  mix(inner ^ mix(seen ^ mix(ports ^ mix(protocol))));
function fold(sum: number): number {
  let s = (sum >>> 16) + (sum & 0xffff);
  s = (s >>> 16) + (s & 0xffff);
  return (s >>> 16) + (s & 0xffff);
}
const adjust = (checksum: number, delta: number) => fold((checksum ^ 0xffff) + delta) ^ 0xffff;
const swap = (word: number) => ((word & 255) << 8) | (word >>> 8);

export function translatorInJs(flows: Flows): Translator {
  const { engine, sessions, count } = flows;
  const { bytes, words, layout } = engine;
  const halves = new Uint16Array(bytes.buffer);
  const buckets = new Uint32Array(1 << Math.ceil(Math.log2(count + 1)));
  const mask = buckets.length - 1;
  const next = new Uint32Array(count + 1);
  const ring = layout.receiveRing >> 2;
  const outputs = new Uint32Array(3 * 256);
  const pool4 = new Int32Array(256 * 4);
  let outputCount = 0;
  let drops = 0;
  let packets = 0;
  let octets = 0;

  const poolPlace = (a: number, b: number, c: number, d: number) => mix(a ^ mix(b ^ mix(c ^ mix(d)))) & 255;
  for (const address of pool) {
    const [a = 0, b = 0, c = 0, d = 0] = new Int32Array(mappedBytes(address).slice().buffer);
    let i = poolPlace(a, b, c, d);
    while (pool4[i * 4 + 3] !== 0) i = (i + 1) & 255;
    pool4.set([a, b, c, d], i * 4);
  }
  for (let i = 1; i <= count; i++) {
    const at = i * 16;
    const bucket = hash(sessions[at]!, sessions[at + 1]!, sessions[at + 2]!, sessions[at + 3]! & 255) & mask;
    next[i] = buckets[bucket]!;
    buckets[bucket] = i;
  }

  function isPool(address: number): boolean {
    let i = poolPlace(0, 0, -65536, address);
    for (; pool4[i * 4 + 3] !== 0; i = (i + 1) & 255)
      if (pool4[i * 4] === 0 && pool4[i * 4 + 2] === -65536 && pool4[i * 4 + 3] === (address | 0))
        return true;
    return false;
  }

  function translate(address: number, whole: number, slot: number, nowMs: number): boolean {
    if (whole < 12 + 28) return false;
    const ip = address + 12;
    if (bytes[ip] !== 0x45) return false;
    const total = swap(halves[(ip + 2) >> 1]!);
    const offset = halves[(ip + 6) >> 1]!;
    const tos = bytes[ip + 1]!;
    const hops = bytes[ip + 8]!;
    const protocol = bytes[ip + 9]!;
    const transport = ip + 20;
    const rest = total - 20;
    if (total < 28 || total > whole - 12 || offset & 0xff3f || hops < 3) return false;
    if (protocol === 6) {
      if (rest < 20) return false;
      const own = (bytes[transport + 12]! >> 4) << 2;
      const flags = bytes[transport + 13]!;
      if (own < 20 || own > rest || (flags & 63) === 0 || flags & 7) return false;
    } else if (protocol !== 17 || swap(halves[(transport + 4) >> 1]!) !== rest) return false;
    const ports = words[transport >> 2]!;
    if ((ports & 0xffff) === 0 || ports >>> 16 === 0) return false;
    const partial = (bytes[address]! & 1) !== 0;
    const at = protocol === 6 ? 16 : 6;
    if (bytes[address + 1] !== 0) return false;
    if (partial && (halves[(address + 8) >> 1] !== at || halves[(address + 6) >> 1] !== 20)) return false;
    const inner = words[(ip + 12) >> 2]!;
    const seen = words[(ip + 16) >> 2]!;
    if (isPool(seen) || (protocol === 17 && ports >>> 16 === 0x3500)) return false;

    let i = buckets[hash(inner, seen, ports, protocol) & mask]!;
    let s = 0;
    for (; i !== 0; i = next[i]!) {
      s = i * 16;
      if (sessions[s] === inner && sessions[s + 1] === seen && sessions[s + 2] === ports) {
        if ((sessions[s + 3]! & 255) === protocol) break;
      }
    }
    if (i === 0 || 40 + rest > (offset & 0x40 ? mtu : Math.min(mtu, 1280))) return false;
    const sumAt = (transport + at) >> 1;
    const sum = halves[sumAt]!;
    if (protocol === 17 && sum === 0) return false;

    const outerPort = sessions[s + 3]! >>> 16;
    const delta = sessions[s + 13]! & 0xffff;
    const portDelta = outerPort + ((ports & 0xffff) ^ 0xffff);
    halves[transport >> 1] = outerPort;
    if (partial) halves[sumAt] = fold(sum + delta);
    else if (protocol === 6) halves[sumAt] = adjust(sum, delta + portDelta);
    else halves[sumAt] = adjust(sum, delta + portDelta) || 0xffff;
    const six = (transport - 40) >> 2;
    words[six] = 0x60 | (tos >> 4) | ((tos & 15) << 12);
    words[six + 1] = swap(rest) | (protocol << 16) | ((hops - 1) << 24);
    for (let word = 0; word < 4; word++) {
      words[six + 2 + word] = sessions[s + 8 + word]!;
      words[six + 6 + word] = sessions[s + 4 + word]!;
    }
    words[six - 3] = partial ? 1 : 0;
    words[six - 2] = partial ? 40 << 16 : 0;
    words[six - 1] = partial ? at : 0;
    sessions[s + 12] = nowMs;
    packets++;
    octets += 40 + rest;
    outputs[outputCount * 3] = transport - 52;
    outputs[outputCount * 3 + 1] = 52 + rest;
    outputs[outputCount * 3 + 2] = slot;
    outputCount++;
    return true;
  }

  function process(batch: number, nowMs: number): number {
    outputCount = 0;
    for (let i = 0; i < batch; i++) {
      const descriptor = ring + i * SIZE;
      const slot = words[descriptor + SLOT]!;
      if (!translate(words[descriptor + ADDRESS]!, words[descriptor + LENGTH]!, slot, nowMs)) drops++;
    }
    return outputCount;
  }

  return {
    name: "js",
    process,
    output: (i) => ({ address: outputs[i * 3]!, length: outputs[i * 3 + 1]! }),
    run: runner(flows, (batch) => process(batch, 1)),
    kept: [() => [drops, packets, octets]],
  };
}
